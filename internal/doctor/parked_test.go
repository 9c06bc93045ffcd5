package doctor

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/doctor/doctortest"
	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

type fragile struct {
	N int64 `db:"n"`
}

// breaks fails at the confirmation of one order, when it has half folded it.
func breaks(key string) projection.Table[fragile] {
	return projection.Table[fragile]{
		Name: "fragile", Version: 1, Stream: "order", History: true, Schema: `create table fragile (like engine, n bigint not null);`,
		On: []projection.Fold[fragile]{
			projection.On(func(r *fragile, _ events.OrderPlaced, _ es.Recorded) { r.N++ }),
			projection.On(func(r *fragile, _ events.OrderConfirmed, at es.Recorded) {
				if r.N += 10; at.Stream.Key == key {
					panic("it breaks")
				}
			}),
			projection.On(func(r *fragile, _ events.OrderCancelRequested, _ es.Recorded) { r.N += 100 }),
		},
	}
}

// A row is compared as what is not parked of it makes it, and after a skip without what was skipped. What fails and is neither parked nor skipped is
// a finding, as is a parked row that is not as its events make it.
func TestParkedRowsAreCompared(t *testing.T) {
	t.Parallel()
	w := doctortest.New(t)
	w.Stocked("A", 100)
	for _, id := range []string{"good", "bad"} {
		w.Place(id, 1, "")
		w.Cancel(id)
	}
	pool, p := postgrestest.New(t), breaks("bad")
	cfg := config(w)
	cfg.Pool, cfg.Projections, cfg.Stopped = pool, []projection.Projection{p}, true
	examined := func(parked int, problems ...string) {
		t.Helper()
		r, err := Examine(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if r.Checked["parked rows"] != parked || r.Checked["rows"] != 2 || r.Healthy != (len(problems) == 0) {
			t.Errorf("looked at %v, found %v", r.Checked, r.Findings)
		}
		for _, problem := range problems {
			if !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return f.Invariant == "I3" && strings.Contains(f.Problem, problem) }) {
				t.Errorf("found %v, want %q", r.Findings, problem)
			}
		}
	}

	follow(t, w, pool, p)
	examined(1)
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`create table kept as select * from daybook.projection_parked; delete from daybook.projection_parked`)
	examined(0, "it cannot be folded", "place in the log")
	exec(`insert into daybook.projection_parked select * from kept where error is not null`)
	examined(1, "place in the log")
	exec(`insert into daybook.projection_parked select * from kept on conflict do nothing`)

	var at uint64
	if err := pool.QueryRow(t.Context(), `select min(position) from kept`).Scan(&at); err != nil {
		t.Fatal(err)
	}
	row := operation.Row{Projection: "fragile", Key: "bad"}
	for n, e := range []es.Event{operation.RowRetried{Row: row}, operation.RowSkipped{Row: row, Position: at, Reason: "it breaks"}} {
		if _, err := operation.Record(t.Context(), w.Store, w.Catalog, es.StreamID{Category: "order", Key: "bad"}, es.DerivedID(es.UUID{}, n), e); err != nil {
			t.Fatal(err)
		}
		follow(t, w, pool, p)
		examined(1 - n)
	}
}

// follow runs a worker until its builds have come to the end of the log.
func follow(t *testing.T, w *doctortest.World, pool *pgxpool.Pool, ps ...projection.Projection) {
	t.Helper()
	p, err := worker.New(t.Context(), worker.Config{Pool: pool, Projections: ps, Catalog: w.Catalog, Log: w.Store, Incarnation: "memory"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var owning sync.WaitGroup
	defer owning.Wait()
	defer cancel()
	parts := map[int][]es.Record{}
	for _, r := range w.Store.All(0) {
		if r.Relayed() {
			n := topic.PartitionOf(r.Stream.Partition(), topic.DefaultPartitions)
			parts[n] = append(parts[n], r)
		}
	}
	at, err := p.Checkpoints(t.Context(), slices.Collect(maps.Keys(parts)))
	if err != nil {
		t.Fatal(err)
	}
	for n, records := range parts {
		owning.Go(func() { p.Own(ctx, n) })
		for len(records) > 0 && records[0].Position <= at[n] {
			records = records[1:]
		}
		if len(records) > 0 {
			if err := p.Apply(t.Context(), n, at[n], records); err != nil {
				t.Fatal(err)
			}
		}
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var behind bool
		if err := pool.QueryRow(t.Context(), `select exists (select from daybook.projection_progress p join daybook.projection_group g using (part) where p.position < g.position)`).Scan(&behind); err != nil {
			t.Fatal(err)
		}
		if !behind {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the builds never come to the end of the log")
		}
	}
}
