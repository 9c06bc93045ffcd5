package reactor

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// An intent that cannot be attended to is named with its event; a store that is away is no failure of it.
func TestAFailingIntentIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attend func() error
		away   bool
	}{
		"an error":                    {attend: func() error { return errors.New("no such token") }},
		"a panic":                     {attend: func() error { panic("no such token") }},
		"an event store that is away": {attend: func() error { return fmt.Errorf("load: %w", es.ErrUnavailable) }, away: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := engine(t, postgrestest.New(t), nil, asking(func(context.Context, reactor.Task) (reactor.Next, error) { return reactor.Again(nil), c.attend() }))
			checkpointOf(t, e)
			asked := event(11, "thing.asked", "a")
			if err := e.Apply(t.Context(), partition, 10, []es.Record{asked}); err != nil {
				t.Fatal(err)
			}
			own(t, e)
			eventually(t, "it is named", func() bool {
				err := e.Health()
				f, ok := failure.Of(err)
				if c.away {
					return failure.IsOutage(err) && !ok
				}
				return ok && f.Who == failure.Who{Kind: "reactor", Name: "asker"} && f.Position == 11 && f.Stream == asked.Stream && f.Type == "thing.asked" &&
					f.Revision == asked.Revision && f.Row == asked.ID.String()
			})
		})
	}
}
