package worker_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/worker"
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

// Whatever is wrong with one event of a batch, it is parked with the row it fails for, or with its key where that is not known; all else is folded.
func TestWhatFailsIsParkedWithItsEventAndRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		table  projection.Projection
		event  es.Event
		change func(*es.Record)
		suffix []string // of the rows that are parked; none: the whole key
		says   string
	}{
		"a panic":                       {table: labels, event: printed{"explode"}, suffix: []string{"back", "front"}, says: "it explodes"},
		"a value that Postgres refuses": {table: letters(1), event: printed{"a\x00b"}, suffix: []string{"back"}, says: "22021"},
		"one in a table with a history": {table: parcels, event: printed{"a\x00b"}, suffix: []string{""}, says: "22021"},
		"a type that is not known":      {table: labels, event: printed{"x"}, change: func(r *es.Record) { r.Type = "label.unheard" }, says: "does not know such events"},
		"JSON that cannot be read":      {table: labels, event: printed{"x"}, change: func(r *es.Record) { r.Data = []byte(`{"text":`) }, says: "is damaged"},
		"metadata that cannot be read":  {table: labels, event: printed{"x"}, change: func(r *es.Record) { r.Meta = []byte(`[`) }, says: "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const p = 1
			pool, j, keys := postgrestest.New(t), newJournal(), keysOf(p, 4)
			const rounds, worst = 4, 2
			for round := range rounds {
				for i, key := range keys {
					e := es.Event(printed{"fine"})
					if round == worst && i == 2 {
						e = c.event
					}
					j.add("label-"+key, e, round, round)
				}
			}
			bad := worst*len(keys) + 2 // the row has versions before it, and one event comes behind it
			if c.change != nil {
				c.change(&j.parts[p][bad])
				j.records[bad] = j.parts[p][bad]
			}
			w := newWorkerOn(t, j, pool, c.table, totals)
			want := []spot{}
			for _, suffix := range c.suffix {
				want = append(want, spot{keys[2], suffix, false, j.parts[p][bad].Position, j.parts[p][bad].Type, true})
			}
			if len(want) == 0 {
				want = append(want, spot{keys[2], "", true, j.parts[p][bad].Position, j.parts[p][bad].Type, true})
			}
			for _, first := range want {
				want = append(want, spot{first.Key, first.Suffix, first.Whole, j.parts[p][bad+len(keys)].Position, "label.printed", false})
			}
			slices.SortFunc(want, func(a, b spot) int {
				return cmp.Or(strings.Compare(a.Suffix, b.Suffix), int(a.Position)-int(b.Position))
			})
			ownedWhile(t, w, p, func() {
				if err := w.Apply(t.Context(), p, 0, j.parts[p]); err != nil {
					t.Fatalf("the partition waits: %v", err)
				}
				until(t, func() bool { return len(spots(t, pool, "")) >= len(want) })
				until(t, func() bool {
					parked, ok := errors.AsType[*worker.ParkedError](w.Health())
					return ok && parked.Units == max(len(c.suffix), 1) && strings.Contains(parked.Error(), "projections parked "+parked.Projection)
				})
			})
			if got := spots(t, pool, c.says); !slices.Equal(got, want) {
				t.Errorf("parked is %+v, want %+v", got, want)
			}
			if at, err := w.Checkpoints(t.Context(), []int{p}); err != nil || at[p] != j.last(p) {
				t.Errorf("the checkpoint is at %d, %v", at[p], err)
			}
		})
	}
}

// spot is an event that is not folded.
type spot struct {
	Key, Suffix string
	Whole       bool
	Position    uint64
	Type        string
	Failed      bool // with an error that says what is asked for
}

func spots(t *testing.T, pool *pgxpool.Pool, says string) []spot {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select key, suffix, whole, position, type, error is not null and strpos(error, $1) > 0 as failed
		from daybook.projection_parked order by suffix, position`, says)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[spot])
	if err != nil {
		t.Fatal(err)
	}
	return all
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
