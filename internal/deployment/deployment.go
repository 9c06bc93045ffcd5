// Package deployment remembers where each saga and reactor began, in the event store itself: one added later does not
// act on years of history, and none forgets what happened before its role first ran, also when Postgres is lost. It also remembers which
// versions of events and sagas a program may have written, so that an older program refuses to start.
package deployment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/kit/es"
)

// Began is the only event of "deployment-<name>": everything after Position concerns the saga or reactor.
type Began struct {
	Position uint64 `json:"position"`
}

// EventType implements es.Event.
func (Began) EventType() string { return "deployment.began" }

// Catalog is this package's own events.
func Catalog() []es.Definition {
	return []es.Definition{es.Define[Began](1), es.Define[VersionsRaised](1)}
}

const attempts = 8

var betweenAppends = backoff.Policy{First: 20 * time.Millisecond, Most: time.Second}

// Begin gives the position at which name began: the log's end when it was first asked for, by whichever process. Call it
// for every saga and reactor of the binary before any role serves.
func Begin(ctx context.Context, store es.Store, log es.Log, c *es.Catalog, name string) (uint64, error) {
	s := es.StreamID{Category: "deployment", Key: name}
	var last error
	for attempt := range attempts {
		if attempt > 0 {
			if err := betweenAppends.Wait(ctx, attempt); err != nil {
				return 0, err
			}
		}
		began, found, err := read(ctx, store, c, s)
		if err != nil || found {
			return began.Position, err
		}
		end, err := log.End(ctx)
		if err != nil {
			return 0, fmt.Errorf("the end of the log, where %s begins: %w", name, err)
		}
		p, err := proposed(c, s, Began{Position: end})
		if err != nil {
			return 0, err
		}
		_, err = store.Append(ctx, s, es.NoStream, []es.Proposed{p})
		switch {
		case err == nil:
			return end, nil
		case errors.Is(err, es.ErrWrongRevision), errors.Is(err, es.ErrUnknownOutcome):
			last = err
		default:
			return 0, fmt.Errorf("begin %s: %w", s, err)
		}
	}
	return 0, fmt.Errorf("begin %s: %w", s, last)
}

func read(ctx context.Context, store es.Store, c *es.Catalog, s es.StreamID) (Began, bool, error) {
	for r, err := range store.Read(ctx, s, 0) {
		if err != nil {
			return Began{}, false, fmt.Errorf("read %s: %w", s, err)
		}
		e, err := c.Open(r)
		if err != nil {
			return Began{}, false, err
		}
		began, ok := e.Event.(Began)
		if !ok {
			return Began{}, false, fmt.Errorf("%s begins with %s", s, r.Type)
		}
		return began, true, nil
	}
	return Began{}, false, nil
}

func proposed(c *es.Catalog, s es.StreamID, b Began) (es.Proposed, error) {
	typ, schema, data, err := c.Encode(b)
	if err != nil {
		return es.Proposed{}, err
	}
	meta, err := json.Marshal(es.Meta{
		Schema: schema, Correlation: s.String(), Actor: es.Actor{ID: s.Key, Kind: "service"}, OccurredAt: es.Micro(time.Now()),
	})
	// Two processes that propose another position must not be told that the other's event is theirs.
	return es.Proposed{ID: es.DerivedID(es.UUID{}, s.String(), b.Position), Type: typ, Data: data, Meta: meta}, err
}
