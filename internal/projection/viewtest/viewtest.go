// Package viewtest lets tests ask projections what some events come to: the worker writes them into a real Postgres, and
// the reader answers.
package viewtest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/eventstore/memory"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/projection"
	"github.com/daybook-dev/daybook/internal/projection/reader"
	"github.com/daybook-dev/daybook/internal/projection/worker"
	"github.com/daybook-dev/daybook/internal/relay"
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
func (l *Log) View(tb testing.TB, definitions []es.Definition, ps ...projection.Projection) projection.View {
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
	const partitions = relay.DefaultPartitions
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
	size := max(3, len(l.records)/1000)
	for _, r := range l.records {
		p := relay.PartitionOf(r.Stream.Partition(), partitions)
		last[p] = int64(r.Position) //nolint:gosec // a small number
		if waiting[p] = append(waiting[p], r); len(waiting[p]) == size {
			post(p)
		}
	}
	for p := range partitions {
		post(p)
	}
	end := uint64(len(l.records))
	_, err = pool.Exec(tb.Context(), `insert into daybook.relay (position, last, partitions, incarnation, caught_up_at) values ($1, $2, $3, 'test', $4)`,
		int64(end), last, partitions, Recorded(end+1)) //nolint:gosec // a small number
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	w.Own(ctx, 0) // until the build serves
	r, err := reader.New(reader.Config{Pool: pool})
	if err != nil {
		tb.Fatal(err)
	}
	view, err := r.View(ps...)
	if err != nil {
		tb.Fatal(err)
	}
	return view
}
