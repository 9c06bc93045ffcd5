// Package viewtest lets tests ask projections what some events come to: the worker writes them into a real Postgres, and
// the reader answers.
package viewtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Log is a history to be asked about. The zero Log is empty.
type Log struct {
	records   []es.Record
	revisions map[es.StreamID]uint64
}

// Recorded is the recorded time of the event at a position: they follow each other by a minute.
func Recorded(position uint64) time.Time {
	return time.Date(2026, 1, 1, 0, int(position), 0, 0, time.UTC) //nolint:gosec // a small number
}

// Add appends events of one business time to a stream, and gives the position of the last.
func (l *Log) Add(tb testing.TB, stream string, at time.Time, events ...es.Event) (position uint64) {
	tb.Helper()
	id, err := es.ParseStreamID(stream)
	if err != nil {
		tb.Fatal(err)
	}
	if l.revisions == nil {
		l.revisions = map[es.StreamID]uint64{}
	}
	meta, err := json.Marshal(es.Meta{Schema: 1, OccurredAt: at, Actor: es.Actor{ID: "anonymous", Kind: "user"}})
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			tb.Fatal(err)
		}
		position = uint64(len(l.records) + 1)
		l.records = append(l.records, es.Record{
			Stream: id, Revision: l.revisions[id], Position: position, Created: Recorded(position), Type: e.EventType(), Data: data, Meta: meta,
		})
		l.revisions[id]++
	}
	return position
}

// View posts the log into the projections, in several small batches, and asks them.
func (l *Log) View(tb testing.TB, definitions []es.Definition, ps ...projection.Projection) query.View {
	tb.Helper()
	plans, err := plan.Compile(ps...)
	if err != nil {
		tb.Fatal(err)
	}
	r := Reader(tb, l.records, definitions, ps...)
	view, err := r.View(ps...)
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range plans {
		if !p.History {
			return view
		}
	}
	return both{tb, view}
}

// Reader posts a log, whose positions begin at 1 without a gap, into the projections, and reads them.
func Reader(tb testing.TB, log []es.Record, definitions []es.Definition, ps ...projection.Projection) *reader.Reader {
	tb.Helper()
	catalog, err := es.NewCatalog(definitions)
	if err != nil {
		tb.Fatal(err)
	}
	pool := postgrestest.New(tb)
	w, err := worker.New(tb.Context(), worker.Config{Pool: pool, Projections: ps, Catalog: catalog, Log: memory.New(), Incarnation: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Close)
	const partitions = topic.DefaultPartitions
	last := make([]int64, partitions)
	after := make([]uint64, partitions)
	var waiting [partitions][]es.Record
	post := func(p int) {
		if batch := waiting[p]; len(batch) > 0 {
			if err := w.Apply(tb.Context(), p, after[p], batch); err != nil {
				tb.Fatal(err)
			}
			after[p], waiting[p] = batch[len(batch)-1].Position, nil
		}
	}
	size := max(3, len(log)/1000)
	for _, r := range log {
		p := topic.PartitionOf(r.Stream.Partition(), partitions)
		last[p] = int64(r.Position) //nolint:gosec // a small number
		if waiting[p] = append(waiting[p], r); len(waiting[p]) == size {
			post(p)
		}
	}
	for p := range partitions {
		post(p)
	}
	end := uint64(len(log))
	_, err = pool.Exec(tb.Context(), `insert into daybook.relay (position, last, partitions, incarnation, caught_up_at) values ($1, $2, $3, 'test', $4)`,
		int64(end), last, partitions, Recorded(end+1)) //nolint:gosec // a small number
	if err != nil {
		tb.Fatal(err)
	}
	r, err := reader.New(reader.Config{Pool: pool})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// both asks each query about now a second time about a moment that lies after everything, and compares the answers: what a query
// says must not depend on how its moment is given.
type both struct {
	testing.TB

	view query.View
}

func (b both) Read(ctx context.Context, ask query.Ask, read func(context.Context, query.Snapshot) error) (query.Answer, error) {
	if ask.Past() {
		return b.view.Read(ctx, ask, read)
	}
	var now, then recording
	answer, err := b.view.Read(ctx, ask, func(ctx context.Context, s query.Snapshot) error {
		now = recording{Snapshot: s}
		return read(ctx, &now)
	})
	if err != nil {
		return answer, err
	}
	ask.AsOf = new(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	if _, err := b.view.Read(ctx, ask, func(ctx context.Context, s query.Snapshot) error {
		then = recording{Snapshot: s}
		for _, q := range now.queries {
			if err := then.again(ctx, q); err != nil {
				return fmt.Errorf("as of any later moment: %w", err)
			}
		}
		return nil
	}); err != nil {
		b.Error(err)
	}
	for i, q := range then.queries {
		have := now.queries[i]
		have.rows = nil
		rows := recording{}
		if _, err := b.view.Read(ctx, query.Ask{}, func(ctx context.Context, s query.Snapshot) error {
			rows = recording{Snapshot: s}
			return rows.again(ctx, have)
		}); err != nil {
			b.Error(err)
		} else if !slices.Equal(q.rows, rows.queries[0].rows) {
			b.Errorf("now and as of a later moment differ for\n%s\n%q\n%q", q.sql, rows.queries[0].rows, q.rows)
		}
	}
	return answer, nil
}

// recording is a snapshot that remembers what it was asked.
type recording struct {
	query.Snapshot

	queries []asked
}

type asked struct {
	sql  string
	args []any
	rows []string
}

func (r *recording) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	r.queries = append(r.queries, asked{sql: sql, args: args})
	return r.Snapshot.Query(ctx, sql, args...)
}

// again asks a query and keeps its rows as text.
func (r *recording) again(ctx context.Context, q asked) error {
	rows, err := r.Query(ctx, q.sql, q.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	last := &r.queries[len(r.queries)-1]
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		last.rows = append(last.rows, fmt.Sprint(values...))
	}
	slices.Sort(last.rows) // where the query leaves the order open
	return rows.Err()
}
