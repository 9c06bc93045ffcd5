package orchestrator

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

// An input that no saga can take is named, whatever is wrong with it.
func TestAFailingInputIsNamed(t *testing.T) {
	t.Parallel()
	without, err := es.NewCatalog(machine.Catalog(), deployment.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data, meta string
		change     func(*Config)
	}{
		"JSON that cannot be read": {data: `{"number":`, meta: `{"schema":1}`},
		"a newer schema":           {data: `{}`, meta: `{"schema":99}`},
		"an unknown type":          {data: `{}`, meta: `{"schema":1}`, change: func(c *Config) { c.Catalog = without }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sagas.Deadlines{})
			stream := es.StreamID{Category: "order", Key: "o9"}
			_, err := w.store.Append(t.Context(), stream, es.NoStream, []es.Proposed{{
				ID: es.CommandID("test", "broken", "o9", "1"), Type: "order.placed", Data: []byte(c.data), Meta: []byte(c.meta),
			}})
			if err != nil {
				t.Fatal(err)
			}
			err = w.apply(w.alone(c.change), partitionOf("o9"))
			e, ok := failure.Of(err)
			if !ok || e.Stream != stream || e.Revision != 0 || e.Position == 0 || e.Type != "order.placed" || e.Who.Kind != "saga" || !strings.Contains(e.Who.Name, "placement") {
				t.Errorf("got %v, which names %+v", err, e)
			}
			if _, ok := errors.AsType[*es.UnreadableError](err); !ok || failure.IsOutage(err) {
				t.Errorf("%v does not say why", err)
			}
		})
	}
}

// A step that panics names the input and the instance.
func TestAStepThatPanicsNamesInputAndInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.place("o1", "tok_approve", "A")
	o, p := w.alone(nil), partitionOf("o1")
	rec := w.of(p)[len(w.of(p))-1]
	in, err := machine.HeardOf(w.catalog, rec)
	if err != nil {
		t.Fatal(err)
	}
	id := es.StreamID{Category: "placement", Key: "o1"}
	_, err = o.stepAll(&entry{id: id}, []delivery{{to: id, in: in, start: nil, effect: es.UUID{}}, {to: id, in: in, start: &machine.Machine{}}}, time.Now())
	e, ok := failure.Of(err)
	if !ok || e.Position != rec.Position || e.Type != rec.Type || e.Row != "placement-o1" || e.Who.Name != "placement" || !strings.Contains(err.Error(), "panic") {
		t.Errorf("got %v, which names %+v", err, e)
	}
}

func TestServersThatAreAwayAreOutages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	w.place("o1", "tok_approve", "A")
	var away atomic.Bool
	cfg := w.pool.Config()
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if away.Load() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("refused")}
		}
		return dial(ctx, network, address)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	p := partitionOf("o1")
	o := w.alone(func(c *Config) { c.Pool = pool })
	at, err := o.Checkpoints(t.Context(), []int{p})
	if err != nil {
		t.Fatal(err)
	}
	away.Store(true)
	pool.Reset()
	err = o.Apply(t.Context(), p, at[p], w.of(p))
	if _, ok := failure.Of(err); ok || !failure.IsOutage(err) || !strings.Contains(err.Error(), "Postgres is away") {
		t.Errorf("without Postgres: %v", err)
	}
	down := w.alone(func(c *Config) { c.Store = downStore{c.Store} })
	if _, err = down.Checkpoints(t.Context(), []int{p}); err != nil {
		t.Fatal(err)
	}
	err = down.Apply(t.Context(), p, at[p], w.of(p))
	if _, ok := failure.Of(err); ok || !failure.IsOutage(err) || !strings.Contains(err.Error(), "the event store is away") {
		t.Errorf("without the event store: %v", err)
	}
}

// downStore takes nothing.
type downStore struct{ Store }

func (downStore) Append(context.Context, es.StreamID, es.Expected, []es.Proposed) (uint64, error) {
	return 0, es.ErrUnavailable
}
