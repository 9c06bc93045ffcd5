// Package projectiontest folds events into rows without a database, and delivers each of them twice.
package projectiontest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// Rows is what a projection holds. Name it once per test package:
//
//	var given = projectiontest.Given[orderdetails.Row]
type Rows[Row any] struct {
	t      testing.TB
	batch  plan.Batch
	stamps map[plan.Key]projection.Stamp
}

// Past places events in a stream, a minute apart from 2011-01-01.
func Past(stream string, events ...es.Event) (out []es.Recorded) {
	id, err := es.ParseStreamID(stream)
	if err != nil {
		panic(err)
	}
	for i, e := range events {
		at := time.Date(2011, 1, 1, 0, i, 0, 0, time.UTC)
		out = append(out, es.Recorded{Event: e, Stream: id, Revision: uint64(i), Created: at, Meta: es.Meta{Schema: 1, OccurredAt: at}})
	}
	return out
}

// Given folds streams, one after another, in partition 0. Each is delivered twice, as the engine is fed: what is at
// or before the checkpoint is skipped. Positions are counted from 1 in the order given.
func Given[Row any](tb testing.TB, p projection.Table[Row], past ...[]es.Recorded) Rows[Row] {
	tb.Helper()
	plans, err := plan.Compile(p)
	if err != nil {
		tb.Fatal(err)
	}
	rows := Rows[Row]{tb, plans[0].Begin(0), map[plan.Key]projection.Stamp{}}
	var checkpoint, end uint64
	for _, stream := range past {
		begin := end
		for range 2 {
			end = begin
			for _, r := range stream {
				end++
				if r.Position = end; r.Position > checkpoint {
					checkpoint = r.Position
					rows.fold(plans[0], r)
				}
			}
		}
	}
	return rows
}

func (r Rows[Row]) fold(p plan.Plan, e es.Recorded) {
	r.t.Helper()
	keys, err := r.batch.Touch(e)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, k := range keys {
		before := r.image(k)
		if err := r.batch.Apply(k, e); err != nil {
			r.t.Fatal(err)
		}
		stamp, ok := r.stamps[k]
		if !ok {
			stamp = projection.NoStamp()
		} else if e.Stream.Category != p.Stream && r.image(k) == before {
			continue // it changes nothing
		}
		r.stamps[k] = stamp.Next(e, p.Stream)
	}
}

// image is a row as JSON, for comparison.
func (r Rows[Row]) image(k plan.Key) string {
	r.t.Helper()
	b, err := json.Marshal(r.batch.Row(k))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// ThenRow compares one row. A row under a suffix is named "key/suffix".
func (r Rows[Row]) ThenRow(key string, want Row) {
	r.t.Helper()
	got, ok := r.batch.Row(split(key)).(*Row)
	if !ok {
		r.t.Fatalf("no row %q", key)
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		r.t.Errorf("row %q (-want +got)\n%s", key, diff)
	}
}

// ThenStamp compares what the engine keeps of a row: how often it changed, and up to which revision and time.
func (r Rows[Row]) ThenStamp(key string, want projection.Stamp) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.stamps[split(key)]); diff != "" {
		r.t.Errorf("stamp of row %q (-want +got)\n%s", key, diff)
	}
}

// ThenNoRow fails if there is such a row.
func (r Rows[Row]) ThenNoRow(key string) {
	r.t.Helper()
	if got := r.batch.Row(split(key)); got != nil {
		r.t.Errorf("row %q: %+v", key, got)
	}
}

func split(key string) plan.Key {
	k, suffix, _ := strings.Cut(key, "/")
	return plan.Key{Key: k, Suffix: suffix}
}
