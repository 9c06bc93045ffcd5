package paymentprovider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// Name of the reactor: of its checkpoints, its deployment stream and the actor of its events.
const Name = "paymentprovider"

// Codes of declined attempts that are ours.
const (
	notFoundCode = "not_found" // the provider, asked twice, knows nothing of it
	noTokenCode  = "no_token"  // there was nothing to charge
)

// Config of the payment reactor. Provider, Handler and Opener are needed.
type Config struct {
	Provider Provider
	Handler  *es.Handler // reports outcomes
	Opener   es.Opener   // of tokens

	RepeatWithin  time.Duration // how long after the intent its key may be used; 20 h if 0
	NotFoundAfter time.Duration // from the last send to the first "not found" that counts, and from there to the second; 1 h if 0
	Repeats       int           // sends that may be lost on a provider that is up, before it is only asked; 2 if 0
	ActionPoll    time.Duration // how often an open action is looked up at least; 5 s if 0
	WatchFor      time.Duration // how long an attempt that was not found is looked up afterwards; 24 h if 0
	Now           func() time.Time
	Logger        *slog.Logger
}

// Reactor is the payment reactor.
type Reactor struct {
	cfg Config
	log *slog.Logger
}

var _ reactor.Reactor = (*Reactor)(nil)

// New fills in what cfg leaves open.
func New(cfg Config) (*Reactor, error) {
	if cfg.Provider == nil || cfg.Handler == nil || cfg.Opener == nil {
		return nil, errors.New("payment reactor: a provider, a handler and an opener of sealed values are needed")
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.RepeatWithin, 20*time.Hour)
	def(&cfg.NotFoundAfter, time.Hour)
	def(&cfg.ActionPoll, 5*time.Second)
	def(&cfg.WatchFor, 24*time.Hour)
	if cfg.Repeats == 0 {
		cfg.Repeats = 2
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Reactor{cfg: cfg, log: cfg.Logger.With("part", "payment reactor")}, nil
}

// Name implements reactor.Reactor.
func (r *Reactor) Name() string { return Name }

// Intents are what the saga asks of the provider.
func (r *Reactor) Intents() []string {
	return []string{events.PaymentAuthorisationRequested{}.EventType(), events.PaymentVoidRequested{}.EventType()}
}

// Wakes are the ends of an attempt, for which a void waits, and the voids, for which an open action need not wait.
func (r *Reactor) Wakes() []string {
	return []string{
		events.PaymentAuthorised{}.EventType(), events.PaymentDeclined{}.EventType(), events.PaymentActionRequired{}.EventType(),
		events.PaymentAuthorisationExpired{}.EventType(), events.PaymentVoidSucceeded{}.EventType(),
	}
}

// intent is the event that is answered, with the payment as it is now.
type intent struct {
	es.Recorded

	task    reactor.Task
	payment payment.Payment
	now     time.Time
}

// key is what the provider knows the request by.
func (i intent) key(own string) string {
	switch {
	case own != "":
		return own
	case !i.Meta.Effect.ID.IsZero():
		return i.Meta.Effect.ID.String()
	default: // asked for by no saga
		return i.ID.String()
	}
}

// Attend brings one intent a step nearer to its outcome.
func (r *Reactor) Attend(ctx context.Context, t reactor.Task) (reactor.Next, error) {
	in, err := r.load(ctx, t)
	if err != nil {
		return reactor.Next{}, err
	}
	var m memo
	if err := t.Memo(&m); err != nil {
		return reactor.Next{}, err
	}
	switch e := in.Event.(type) {
	case events.PaymentAuthorisationRequested:
		return r.authorise(ctx, in, e, m)
	case events.PaymentVoidRequested:
		return r.void(ctx, in, e, m)
	}
	return reactor.Next{}, fmt.Errorf("%s is no intent", in.Event.EventType())
}

// load folds the whole payment, and finds the intent on the way.
func (r *Reactor) load(ctx context.Context, t reactor.Task) (intent, error) {
	in := intent{task: t, now: r.cfg.Now()}
	p, err := es.Load[payment.Payment](ctx, r.cfg.Handler, t.Stream.Key, func(e es.Recorded) bool {
		if e.ID == t.ID {
			in.Recorded = e
		}
		return false
	})
	if err != nil {
		return in, fmt.Errorf("load %s: %w", t.Stream, err)
	}
	if in.Event == nil {
		return in, fmt.Errorf("%s does not hold intent %s", t.Stream, t.ID)
	}
	in.payment = p.State
	return in, nil
}

// report records what the provider said. Recording the same again is nothing.
func (r *Reactor) report(ctx context.Context, in intent, outcome es.Event, distinct ...string) error {
	parts := []any{outcome.EventType()}
	for _, d := range distinct {
		parts = append(parts, d)
	}
	c := payment.Report{OrderID: in.Stream.Key, Outcome: outcome}
	_, err := es.Handle[payment.Payment](ctx, r.cfg.Handler, c, es.Call{
		ID: es.DerivedID(in.ID, parts...), Actor: es.Actor{ID: Name, Kind: "service"}, Effect: in.Meta.Effect,
		Correlation: in.Meta.Correlation, Causation: in.ID.String(), Traceparent: in.Meta.Traceparent,
	})
	if err != nil {
		return fmt.Errorf("report %s of %s: %w", outcome.EventType(), in.Stream, err)
	}
	return nil
}
