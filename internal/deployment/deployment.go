// Package deployment remembers where each saga and reactor began, in the event store itself: one added later does not
// act on years of history, and none forgets what happened before its role first ran, also when Postgres is lost. It also remembers which
// versions of events and sagas a program may have written, so that an older program refuses to start.
package deployment

import (
	"context"
	"fmt"

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

// Begin gives the position at which name began: the log's end when it was first asked for, by whichever process. Call it
// for every saga and reactor of the binary before any role serves.
func Begin(ctx context.Context, store es.Store, log es.Log, c *es.Catalog, name string) (uint64, error) {
	s := es.StreamID{Category: "deployment", Key: name}
	var at uint64
	err := settle(ctx, store, s, func() (es.Expected, *es.Proposed, error) {
		began, found, err := read(ctx, store, c, s)
		if at = began.Position; err != nil || found {
			return 0, nil, err
		}
		if at, err = log.End(ctx); err != nil {
			return 0, nil, fmt.Errorf("the end of the log, where %s begins: %w", name, err)
		}
		p, err := propose(c, s, name, Began{Position: at})
		// Two processes that propose another position must not take the other's event for theirs.
		p.ID = es.DerivedID(es.UUID{}, s.String(), at)
		return es.NoStream, &p, err
	})
	return at, err
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
