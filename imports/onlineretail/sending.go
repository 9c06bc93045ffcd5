package onlineretail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/kit/es"
)

// patience is how long an import goes on asking while nothing at all gets done.
const patience = 3 * time.Minute

// byStream gathers commands by the key of their stream, in the order in which they are to be decided.
type byStream[S any] map[string][]asked[S]

func (b byStream[S]) add(at time.Time, order string, d es.Decision[S]) {
	b[d.Key()] = append(b[d.Key()], asked[S]{at, d, order})
}

// asked is a command of the import, on a stream of S.
type asked[S any] struct {
	at       time.Time
	decision es.Decision[S]
	order    string // it belongs to, or ""
}

// call says who records it, when it happened, and under which id. The id is of the step and of what it says, so the same
// step again is a repeat, and one that says something else is decided, and refused by the aggregate.
func (a asked[S]) call(stream, causation string) es.Call {
	content := sha256.Sum256(fmt.Appendf(nil, "%T %+v", a.decision, a.decision))
	correlation := stream
	if a.order != "" {
		correlation = es.StreamID{Category: "order", Key: a.order}.String()
	}
	return es.Call{
		ID:          es.CommandID("import:online-retail", a.decision.CommandType(), stream, hex.EncodeToString(content[:])),
		Actor:       es.Actor{ID: "online-retail", Kind: "import"},
		OccurredAt:  a.at,
		Correlation: correlation,
		Causation:   causation,
	}
}

// send handles the commands of each stream together, many streams at once. What is refused is handed to refused.
func send[S any, P es.State[S]](ctx context.Context, im *Import, streams byStream[S], refused func(asked[S], error)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(im.flow.most)
	for _, key := range slices.Sorted(maps.Keys(streams)) {
		g.Go(func() error { return one[S, P](ctx, im, key, streams[key], refused) })
	}
	return g.Wait()
}

// one handles the commands of a stream, until each is recorded or refused: what is transient is asked again, by the same ids.
func one[S any, P es.State[S]](ctx context.Context, im *Import, key string, commands []asked[S], refused func(asked[S], error)) error {
	stream := es.StreamID{Category: P(nil).Category(), Key: key}.String()
	batch := make([]es.Asked[S], len(commands))
	for i, c := range commands {
		batch[i] = es.Asked[S]{Decision: c.decision, Call: c.call(stream, im.stream())}
	}
	fresh, doubtful := make([]bool, len(batch)), make([]bool, len(batch))
	outcomes, err := again(ctx, im, func() ([]es.Outcome, error) {
		outcomes, err := es.HandleAll[S, P](ctx, im.Handler, batch)
		if err != nil {
			return nil, err
		}
		for i, o := range outcomes {
			fresh[i] = fresh[i] || len(o.Receipt.Records) > 0 || doubtful[i] && o.Receipt.Replayed
			doubtful[i] = doubtful[i] || errors.Is(o.Err, es.ErrUnknownOutcome)
			if o.Err != nil && !final(o.Err) {
				err = o.Err
			}
		}
		return outcomes, err
	})
	if err != nil {
		return fmt.Errorf("record %s: %w", stream, err)
	}
	for i, o := range outcomes {
		switch {
		case o.Err != nil:
			refused(commands[i], o.Err)
			im.refusals.Add(1)
		case fresh[i]:
			im.new.Add(1)
		}
		im.reached(o.Receipt.Position)
	}
	im.progress(len(outcomes))
	return nil
}

// again asks until there is an answer, an error that asking again does not mend, or nothing has been done for too long.
func again[T any](ctx context.Context, im *Import, ask func() (T, error)) (T, error) {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = im.pause(), 100*im.pause()
	return backoff.Retry(ctx, func() (T, error) {
		if err := im.flow.enter(ctx); err != nil {
			var none T
			return none, backoff.Permanent(err)
		}
		v, err := ask()
		im.flow.leave(err == nil)
		switch {
		case err == nil:
			im.moved.Store(time.Now().UnixNano())
		case ctx.Err() != nil:
			err = backoff.Permanent(ctx.Err())
		case time.Since(time.Unix(0, im.moved.Load())) > im.patience():
			err = backoff.Permanent(fmt.Errorf("nothing was recorded for %s: %w", im.patience(), err))
		}
		return v, err
	}, backoff.WithBackOff(b), backoff.WithMaxElapsedTime(0))
}

// final tells a refusal, which stays one, from what may pass: a store that is slow, away or in doubt.
func final(err error) bool {
	for _, is := range []error{es.ErrEventTooLarge, es.ErrTooLarge, es.ErrNUL, es.ErrFuture, es.ErrKeyReused} {
		if errors.Is(err, is) {
			return true
		}
	}
	if _, is := errors.AsType[*es.UnreadableError](err); is {
		return true
	}
	return es.Rejected(err) != ""
}
