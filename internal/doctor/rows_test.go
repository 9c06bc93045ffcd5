package doctor

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/doctor/doctortest"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/orderevents"
	"github.com/daybook-dev/daybook/projections/orderlist"
	"github.com/daybook-dev/daybook/projections/sales"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

func readModels() []projection.Projection {
	return []projection.Projection{orderdetails.Projection, orderevents.Projection, orderlist.Projection, sales.Projection, stocklevels.Projection}
}

// posted is a shop whose read models are written.
func posted(t *testing.T, w *doctortest.World) (*pgxpool.Pool, Config) {
	t.Helper()
	pool := postgrestest.New(t)
	p, err := worker.New(t.Context(), worker.Config{Pool: pool, Projections: readModels(), Catalog: w.Catalog, Log: w.Store, Incarnation: "memory"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	parts := make([][]es.Record, topic.DefaultPartitions)
	for _, r := range w.Store.All(0) {
		if r.Relayed() {
			n := topic.PartitionOf(r.Stream.Partition(), len(parts))
			parts[n] = append(parts[n], r)
		}
	}
	for n, records := range parts {
		if len(records) > 0 {
			if err := p.Apply(t.Context(), n, 0, records); err != nil {
				t.Fatal(err)
			}
		}
	}
	cfg := config(w)
	cfg.Pool, cfg.Projections, cfg.Stopped = pool, readModels(), true
	return pool, cfg
}

func TestBrokenRows(t *testing.T) {
	w := doctortest.Shop(t)
	pool, cfg := posted(t, w)
	r := look(t, cfg)
	for _, f := range r.Findings {
		t.Error(f)
	}
	if r.Checked["rows"] < 30 || r.Checked["row versions"] < 30 {
		t.Fatalf("looked at %v", r.Checked)
	}
	for _, tt := range []struct {
		name, invariant, sql string
		words                []string
	}{
		{"another amount", "I3", `update {order_details} set total = total + 1 where key = 'confirmed'`, []string{`"order_details" confirmed`, "column total: expected 500, found 501"}},
		{"another text", "I3", `update {order_details} set status = 'cancelled' where key = 'confirmed'`, []string{"column status: expected confirmed, found cancelled"}},
		{"other JSON", "I3", `update {order_details} set lines = jsonb_set(lines, '{0,quantity}', '7') where key = 'confirmed'`, []string{"column lines", `"quantity":7`}},
		{"JSON that is not there", "I3", `update {order_details} set lines = null where key = 'confirmed'`, []string{"column lines", "found null"}},
		{"another time", "I3", `update {order_details} set placed_at = placed_at + interval '1 microsecond' where key = 'confirmed'`, []string{"column placed_at"}},
		{"an event folded twice", "I3", `update {stock_levels} set version = version + 1`, []string{`"stock_levels" A`, "its place in the log"}},
		{"a row is missing", "I3", `delete from {sales} where key = 'confirmed'`, []string{`"sales" confirmed`, "the row is missing"}},
		{"a row too many", "I3", `insert into {stock_levels} select 'B', suffix, version, revision, position, valid_from, recorded_from, location, on_hand, reserved, safety from {stock_levels}`,
			[]string{`"stock_levels" B`, "should not be there"}},
		{"an old version was changed", "I3", `update {stock_levels_history} set on_hand = 7 where version = 1`, []string{`"stock_levels_history" A version 1`, "column on_hand", "found 7"}},
		{"JSON that an old version keeps for others", "I3", `update {order_details_history} set lines = jsonb_set(lines, '{0,quantity}', '7') where key = 'confirmed' and version = 0`,
			[]string{`"order_details_history" confirmed version 2`, "column lines", `"quantity":7`}},
		{"a version names another for its JSON", "I3", `update {order_details_history} set "payment.version" = 0 where key = 'confirmed' and "payment.version" > 0`,
			[]string{`"order_details_history" confirmed`, "column payment"}},
		{"a row names another version for its JSON", "I3", `update {order_details} set "payment.version" = 0 where key = 'confirmed' and "payment.version" > 0`,
			[]string{`"order_details" confirmed`, "column payment in the version that the row names"}},
		{"an old version is missing", "I3", `delete from {stock_levels_history} where version = 1`, []string{`"stock_levels_history" A`, "versions are missing"}},
		{"an old version does not end", "I3", `update {stock_levels_history} set valid_to = 'infinity' where version = 1`, []string{"version 1", "column valid_to"}},
		{"the newest version has ended", "I3", `update {stock_levels_history} set recorded_to = now() where recorded_to = 'infinity'`, []string{"column recorded_to", "expected infinity"}},
		{"rows behind their checkpoint", "I3", `update {order_events} set suffix = suffix || 'x' where key = 'confirmed'`, []string{`"order_events" confirmed`}},
		{"a checkpoint behind its rows", "I3", `update daybook.projection_group set position = 0`, []string{"should not be there"}},
		{"a checkpoint beyond the log", "I3", `update daybook.projection_group set position = 100000 where part = 0`, []string{"beyond the log", "100000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			undo := change(t, pool, tt.sql)
			defer undo()
			finds(t, look(t, cfg), tt.invariant, tt.words...)
		})
	}
	if r := look(t, cfg); !r.Healthy {
		t.Errorf("put right again: %v", r.Findings)
	}
}

// change runs SQL whose tables are named in braces, and gives the way back: copies of all tables that it names.
func change(t *testing.T, pool *pgxpool.Pool, sql string) (undo func()) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select b.projection, b.schema_name from daybook.projection_build b`)
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{"daybook.projection_group"}
	var name, schema string
	if _, err := pgx.ForEachRow(rows, []any{&name, &schema}, func() error {
		for _, suffix := range []string{"", "_history"} {
			braced, table := "{"+name+suffix+"}", pgx.Identifier{schema, name + suffix}.Sanitize()
			if strings.Contains(sql, braced) {
				tables = append(tables, table)
			}
			sql = strings.ReplaceAll(sql, braced, table)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, sql string) {
		t.Helper()
		tag, err := pool.Exec(ctx, sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if tag.Update() && tag.RowsAffected() == 0 {
			t.Fatalf("%s changed nothing", sql)
		}
	}
	for i, table := range tables {
		run(t.Context(), fmt.Sprintf(`create table public.kept%d as table %s`, i, table))
	}
	run(t.Context(), sql)
	return func() {
		for i, table := range tables {
			run(t.Context(), `delete from `+table)
			run(t.Context(), fmt.Sprintf(`insert into %s table public.kept%d`, table, i))
			run(t.Context(), fmt.Sprintf(`drop table public.kept%d`, i))
		}
	}
}

// Each partition is compared as far as its checkpoint, so that a system that runs can be looked at.
func TestRowsBehindTheLog(t *testing.T) {
	t.Parallel()
	w := doctortest.Shop(t)
	_, cfg := posted(t, w)
	w.Place("later", 1, "")
	r := look(t, cfg)
	if !r.Healthy || len(r.Notes) == 0 || r.AtRest {
		t.Errorf("at rest %t, %v, %v", r.AtRest, r.Notes, r.Findings)
	}
}

// What is owed by the log needs a row that somebody looks at.
func TestNeverLookedAt(t *testing.T) {
	t.Parallel()
	w := doctortest.New(t)
	w.Stocked("A", 100)
	w.Place("confirmed", 2, "")
	pool, cfg := posted(t, w)
	// A placement that has asked for its stock, and no row.
	cfg.Log = w.Altered(func(log []es.Record) []es.Record {
		kept := log[:0]
		for _, r := range log {
			if r.Stream.Category == "placement" && r.Revision > 0 || r.Stream.Category == "payment" && r.Revision > 1 {
				continue
			}
			kept = append(kept, r)
		}
		return kept
	})
	look := func() *doctor.Report {
		out := &doctor.Report{Checked: map[string]int{}, Breaches: map[string]int{}}
		cfg.Partitions = topic.DefaultPartitions
		h := newHistory(cfg, out)
		if err := h.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		out.Findings, out.Breaches = nil, map[string]int{}
		if err := h.checkWaiting(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.checkRelay(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out
	}
	r := look()
	finds(t, r, "I6", "placement-confirmed@0", "no engine will look")
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`insert into daybook.saga_instance (instance, saga, key, partition, revision, version, phase, step, failure, stuck, waiting, due_at, started_at, updated_at)
		values ('placement-confirmed', 'placement', 'confirmed', 0, 1, 1, 'doing', '', '', '', '[]', 'now', 'now', 'now')`)
	log := w.Store.All(0)
	intent := log[doctortest.Find(log, "payment-confirmed", "payment.authorisation_requested")]
	exec(`insert into daybook.reactor_waiting (reactor, intent, partition, stream, revision, recorded_at, opened_at, due_at)
		values ('paymentprovider', $1, 0, 'payment-confirmed', 1, 'now', 'now', 'now')`, intent.ID.String())
	if r := look(); len(r.Findings) > 0 {
		t.Error(r.Findings)
	}
	exec(`insert into daybook.reactor_waiting (reactor, intent, partition, stream, revision, recorded_at, opened_at, due_at)
		values ('paymentprovider', $1, 0, 'payment-lost', 0, 'now', 'now', 'now')`, es.DerivedID(intent.ID, "lost").String())
	finds(t, look(), "I6", "payment-lost", "an intent that is not recorded")
	exec(`update daybook.saga_instance set revision = 99`)
	finds(t, look(), "I6", "placement-confirmed", "knows more")
	exec(`insert into daybook.relay (position, last, partitions, incarnation) values (3, array_fill(0, array[12]), 12, 'memory')`)
	finds(t, look(), "I8", "the relay's last position of partition")
	exec(`update daybook.relay set position = 100000`)
	finds(t, look(), "I8", "beyond the end of the log")
}

// The log may grow while it is looked at. What the relay has carried by then is read too, but rows of it are not missed yet.
func TestLogGrowsWhileLookedAt(t *testing.T) {
	t.Parallel()
	w := doctortest.New(t)
	w.Stocked("A", 100)
	w.Place("confirmed", 2, "")
	pool, cfg := posted(t, w)
	cfg.Partitions = topic.DefaultPartitions
	all := w.Store.All(0)
	var begun []es.Record // up to a placement that owes something
	for _, r := range all {
		if r.Stream.Category == "placement" && r.Revision > 0 || r.Stream.Category == "payment" {
			break
		}
		begun = append(begun, r)
	}
	_, err := pool.Exec(t.Context(), `insert into daybook.relay (position, last, partitions, incarnation) values ($1, array_fill(0, array[12]), 12, 'memory')`,
		int64(begun[len(begun)-1].Position))
	if err != nil {
		t.Fatal(err)
	}
	out := &doctor.Report{Checked: map[string]int{}, Breaches: map[string]int{}, AtRest: true}
	cfg.Log = w.Log(begun[:doctortest.Find(begun, "order-confirmed", "order.placed")])
	h := newHistory(cfg, out)
	if err := h.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := h.end
	h.cfg.Log = w.Log(begun)
	if err := checkEngines(t.Context(), h.cfg, h, out); err != nil {
		t.Fatal(err)
	}
	if h.end == before || len(h.instances) == 0 {
		t.Fatalf("nothing was read on: %d, %d instances", h.end, len(h.instances))
	}
	if h.top.AtRest || out.Breaches["I6"] > 0 {
		t.Errorf("at rest %t, %v", h.top.AtRest, out.Findings)
	}
}

// growing is a log that has one event more each time it is read on.
type growing struct {
	es.Log

	records []es.Record
	seen    int
}

func (g *growing) ReadAll(_ context.Context, after uint64) iter.Seq2[es.Record, error] {
	g.seen = min(g.seen+1, len(g.records))
	return func(yield func(es.Record, error) bool) {
		for _, r := range g.records[:g.seen] {
			if r.Position > after && !yield(r, nil) {
				return
			}
		}
	}
}

func (g *growing) End(context.Context) (uint64, error) { return g.records[g.seen-1].Position, nil }

// What was read outside last has all that the checks know from the log, whatever else reads the log on.
func TestNothingIsReadAfterOutside(t *testing.T) {
	t.Parallel()
	w := doctortest.New(t)
	w.Stocked("A", 100)
	w.Place("confirmed", 2, "")
	pool, cfg := posted(t, w)
	log := &growing{Log: w.Store, records: w.Store.All(0)}
	const carried = 6 // events, which is more than have been read when the relay's row is looked at
	_, err := pool.Exec(t.Context(), `insert into daybook.relay (position, last, partitions, incarnation) values ($1, array_fill(0, array[12]), 12, 'memory')`,
		int64(log.records[carried].Position))
	if err != nil {
		t.Fatal(err)
	}
	var known, outside uint64
	asked := 0
	cfg.Log, cfg.Projections = log, nil
	cfg.Checks = []doctor.Check{{
		Fold:    func(e es.Recorded, _ *doctor.Report) { known = e.Position },
		Outside: func(context.Context, *doctor.Report) error { asked++; outside = known; return nil },
	}}
	look(t, cfg)
	if asked != 2 || known == 0 || outside != known {
		t.Errorf("asked %d times, last at position %d, and the log was read up to %d", asked, outside, known)
	}
}
