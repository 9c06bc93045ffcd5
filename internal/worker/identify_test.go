package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// label has two rows for each label that is printed, of which only the second keeps the text.
type label struct {
	Text string `db:"text"`
}

var labels = projection.Table[label]{
	Name: "labels", Version: 1, Stream: "parcel", Schema: `create table labels (like engine, text text not null);`,
	On: []projection.Fold[label]{
		projection.OnKeys(func(printed, es.Recorded) []string { return []string{"front", "back"} }, func(r *label, side string, e printed, _ es.Recorded) {
			if e.Text == "explode" {
				panic("it explodes")
			}
			if side == "back" {
				r.Text = e.Text
			}
		}),
	},
}

// keysOf gives some keys of one partition.
func keysOf(p, n int) (keys []string) {
	for i := 0; len(keys) < n; i++ {
		if key := fmt.Sprint("k", i); topic.PartitionOf(key, partitions) == p {
			keys = append(keys, key)
		}
	}
	return keys
}

// Whatever is wrong with one event of a batch, the error names the event and the row, and no other.
func TestAFailingFoldNamesEventAndRow(t *testing.T) {
	t.Parallel()
	unreadable := func(t *testing.T, err error) {
		t.Helper()
		if _, ok := errors.AsType[*es.UnreadableError](err); !ok {
			t.Errorf("%v is not that the event cannot be read", err)
		}
	}
	for name, c := range map[string]struct {
		table  projection.Projection
		event  es.Event
		change func(*es.Record)
		row    string // after the key; "-": none
		says   string
		is     func(*testing.T, error)
	}{
		"a panic":                       {table: labels, event: printed{"explode"}, row: "/", says: "it explodes"},
		"a value that Postgres refuses": {table: labels, event: printed{"a\x00b"}, row: "/back", says: "22021"},
		"one in a table with a history": {table: parcels, event: printed{"a\x00b"}, says: "22021"},
		"a newer schema":                {table: labels, event: printed{"x"}, change: func(r *es.Record) { r.Meta = bytes.Replace(r.Meta, []byte(`"schema":1`), []byte(`"schema":9`), 1) }, row: "-", is: unreadable},
		"JSON that cannot be read":      {table: labels, event: printed{"x"}, change: func(r *es.Record) { r.Data = []byte(`{"text":`) }, row: "-", is: unreadable},
		"metadata that cannot be read":  {table: labels, event: printed{"x"}, change: func(r *es.Record) { r.Meta = []byte(`[`) }, row: "-", is: unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const p = 1
			pool, j, keys := postgrestest.New(t), newJournal(), keysOf(p, 4)
			const rounds, worst = 3, 2 // the newest version of the row has it
			for round := range rounds {
				for i, key := range keys {
					e := es.Event(printed{"fine"})
					if round == worst && i == 2 {
						e = c.event
					}
					j.add("parcel-"+key, e, round, round)
				}
			}
			bad := &j.parts[p][worst*len(keys)+2]
			if c.change != nil {
				c.change(bad)
			}
			w := newWorkerOn(t, j, pool, c.table)
			if _, err := w.Checkpoints(t.Context(), []int{p}); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second try says the same
				err := w.Apply(t.Context(), p, 0, j.parts[p])
				e, ok := failure.Of(err)
				if !ok {
					t.Fatalf("it has no identity: %v", err)
				}
				row, rowFits := keys[2]+c.row, e.Row == keys[2]+c.row
				switch c.row {
				case "-":
					row, rowFits = "", e.Row == ""
				case "/": // one of the event's rows
					rowFits = strings.HasPrefix(e.Row, row)
				}
				if e.Position != bad.Position || e.Stream != bad.Stream || e.Revision != bad.Revision || e.Type != "label.printed" || !rowFits ||
					e.Who.Kind != "read model" || e.Who.Build == 0 || !strings.Contains(err.Error(), c.says) {
					t.Errorf("it names %+v, want position %d of %s, row %q, because of %q", e, bad.Position, bad.Stream, row, c.says)
				}
				if c.is != nil {
					c.is(t, err)
				}
				if failure.IsOutage(err) {
					t.Errorf("it is taken for an outage: %v", err)
				}
			}
			if at, err := w.Checkpoints(t.Context(), []int{p}); err != nil || at[p] != 0 {
				t.Errorf("the checkpoint is at %d, %v", at[p], err)
			}
		})
	}
}

// A build that goes by itself, because the others need not wait for it, says what it fails at too.
func TestABuildByItselfNamesEventAndRow(t *testing.T) {
	t.Parallel()
	const p = 1
	pool, j, keys := postgrestest.New(t), newJournal(), keysOf(p, 3)
	for i, key := range keys {
		j.add("parcel-"+key, counted{N: int64(i)}, 1, 1)
		j.add("parcel-"+key, printed{map[bool]string{true: "a\x00b", false: "fine"}[i == 1]}, 2, 2)
	}
	w := newWorkerOn(t, j, pool, labels, totals)
	if _, err := w.Checkpoints(t.Context(), []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var owning sync.WaitGroup
	defer owning.Wait()
	defer cancel()
	owning.Go(func() { w.Own(ctx, p) })
	if err := w.Apply(t.Context(), p, 0, j.parts[p]); err != nil {
		t.Fatalf("the other read model waits: %v", err)
	}
	until(t, func() bool {
		e, ok := failure.Of(w.Health())
		return ok && e.Position == j.parts[p][3].Position && e.Row == keys[1]+"/back" && e.Who.Name == "labels"
	})
}

func TestPostgresAwayIsAnOutageAndNoFailureOfAnEvent(t *testing.T) {
	t.Parallel()
	const p = 1
	var away atomic.Bool
	cfg := postgrestest.New(t).Config()
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
	j := newJournal()
	j.add("parcel-"+keysOf(p, 1)[0], printed{"fine"}, 1, 1)
	w := newWorkerOn(t, j, pool, labels) // it has opened no connection of its own yet
	away.Store(true)
	err = w.Apply(t.Context(), p, 0, j.parts[p])
	if _, ok := failure.Of(err); ok || !failure.IsOutage(err) {
		t.Errorf("got %v", err)
	}
	away.Store(false)
	if err := w.Apply(t.Context(), p, 0, j.parts[p]); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}
