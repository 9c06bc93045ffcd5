package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// What the reader says of rows and of builds, about what the worker has written.

// readLog is a journal that counts how often it is read.
type readLog struct {
	*journal

	reads int
}

func (l *readLog) ReadAll(ctx context.Context, after uint64) iter.Seq2[es.Record, error] {
	l.reads++
	return l.journal.ReadAll(ctx, after)
}

func (l *readLog) ReadFrom(ctx context.Context, position uint64) iter.Seq2[es.Record, error] {
	return l.ReadAll(ctx, position-1)
}

func (l *readLog) End(context.Context) (uint64, error) {
	if n := len(l.records); n > 0 {
		return l.records[n-1].Position, nil
	}
	return 0, nil
}

// by says who recorded the newest event.
func (j *journal) by(t *testing.T, m es.Meta) {
	t.Helper()
	meta, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	newest := &j.records[len(j.records)-1]
	newest.Meta = meta
	part := j.parts[topic.PartitionOf(newest.Stream.Partition(), partitions)]
	part[len(part)-1].Meta = meta
}

func readerOf(t *testing.T, pool *pgxpool.Pool) *reader.Reader {
	t.Helper()
	r, err := reader.New(reader.Config{Pool: pool, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func causes(h reader.History) (out []string) {
	for _, c := range h.Causes {
		line := []string{fmt.Sprintf("%d %s@%d %s", c.Version, c.Event.Stream, c.Event.Revision, c.Event.Type)}
		for _, f := range c.Changes {
			line = append(line, fmt.Sprintf("%s=%s>%s", f.Pointer, f.Before, f.After))
		}
		out = append(out, strings.Join(line, " "))
	}
	return out
}

// Of a row every event that made it is named, in their order, with what each changed and who recorded it, wherever in the log it is.
func TestWhyARowIsAsItIs(t *testing.T) {
	t.Parallel()
	j := newJournal()
	j.add("parcel-a", counted{N: 2, Items: []item{{SKU: "MUG", N: 2}}, Note: es.Sealed{Subject: "guest-a", Ciphertext: []byte("first secret")}}, 0, 0)
	j.by(t, es.Meta{
		Schema: 1, OccurredAt: minute(0), Actor: es.Actor{ID: "ann", Kind: "user"}, Command: es.CommandRef{ID: es.UUID{1}, Name: "parcel.count"},
		Correlation: "parcel-a", Causation: "c", Effect: es.EffectRef{ID: es.UUID{2}, Instance: "packing-a"},
	})
	for i := range 120 { // more than are read past
		j.add(fmt.Sprint("parcel-other", i%7), ignored{}, i, i)
	}
	j.add("parcel-a", weighed{Grams: 600}, 200, 200)
	j.add("parcel-b", weighed{Grams: 600}, 200, 200)
	j.add("label-a", printed{Text: "fragile"}, 201, 201)
	j.add("parcel-a", weighed{Grams: 700}, 201, 202)
	j.add("parcel-a", counted{Note: es.Sealed{Subject: "guest-a", Ciphertext: []byte("second value")}}, 203, 203)
	pool := postgrestest.New(t)
	j.post(t, newWorker(t, pool, all...), 7)
	j.relayed(t, pool, 1000)
	r, log := readerOf(t, pool), &readLog{journal: j}
	why := func(p projection.Projection, key plan.Key, after int64, limit int) (reader.History, error) {
		return r.Why(t.Context(), log, p, key, after, limit)
	}

	want := []string{
		`0 parcel-a@0 parcel.counted /heavy=>false /items/0/n=>2 /items/0/sku=>"MUG" /last_seen=>"2011-01-01T00:00:00+00:00" /n=>2` +
			` /note=>"sealed for guest-a, …c2VjcmV0" /pieces=>1 /status=>"counted"`,
		`1 parcel-a@1 parcel.weighed /heavy=false>true /last_seen="2011-01-01T00:00:00+00:00">"2011-01-01T03:20:00+00:00" /status="counted">"weighed"`,
		`2 label-a@0 label.printed /label_at=>"2011-01-01T03:21:00+00:00" /last_seen="2011-01-01T03:20:00+00:00">"2011-01-01T03:21:00+00:00" /tags/0=>"fragile"`,
		`3 parcel-a@2 parcel.weighed`,
		`4 parcel-a@3 parcel.counted /last_seen="2011-01-01T03:21:00+00:00">"2011-01-01T03:23:00+00:00"` +
			` /note="sealed for guest-a, …c2VjcmV0">"sealed for guest-a, …IHZhbHVl" /pieces=1>2 /status="weighed">"counted"`,
	}
	h, err := why(parcels, plan.Key{Key: "a"}, -1, 10)
	if err != nil || h.More || h.Position != j.records[len(j.records)-1].Position || !slices.Equal(causes(h), want) {
		t.Errorf("all: %v, more %t, position %d\n got %s\nwant %s", err, h.More, h.Position, strings.Join(causes(h), "\n     "), strings.Join(want, "\n     "))
	}
	if m := h.Causes[0].Meta; m.Actor.ID != "ann" || m.Command.Name != "parcel.count" || m.Effect.Instance != "packing-a" || m.Correlation != "parcel-a" {
		t.Errorf("by %+v", m)
	}
	var pages []string
	for after, more := int64(-1), true; more; {
		h, err := why(parcels, plan.Key{Key: "a"}, after, 2)
		if err != nil || len(h.Causes) == 0 || len(h.Causes) > 2 {
			t.Fatalf("after %d: %v, %v", after, causes(h), err)
		}
		pages, after, more = append(pages, causes(h)...), h.Causes[len(h.Causes)-1].Version, h.More
	}
	if !slices.Equal(pages, want) {
		t.Errorf("in pages: %s", strings.Join(pages, "\n"))
	}

	var none *reader.NoRowError
	if _, err := why(parcels, plan.Key{Key: "c"}, -1, 10); !errors.As(err, &none) || len(none.Suffixes) != 0 {
		t.Errorf("a key that has no row: %v", err)
	}
	if _, err := why(parcels, plan.Key{Key: "a", Suffix: "x"}, -1, 10); !errors.As(err, &none) || !slices.Equal(none.Suffixes, []string{""}) {
		t.Errorf("a suffix that the key does not have: %v", err)
	}
	if _, err := why(items, plan.Key{Key: "a", Suffix: "MUG"}, -1, 10); !errors.Is(err, query.ErrNoHistory) {
		t.Errorf("of a read model without history: %v", err)
	}
	log.journal = j.head(3)
	if _, err := why(parcels, plan.Key{Key: "a"}, -1, 10); err == nil || !strings.Contains(err.Error(), "event") {
		t.Errorf("with a log that has lost the events: %v", err)
	}
}

// How far each read model is behind is counted against the head of the log, also where relay and Kafka do not know of it yet. Nothing is
// read while nothing is behind.
func TestLagAgainstTheHeadOfTheLog(t *testing.T) {
	t.Parallel()
	j := busy(200, rand.New(rand.NewPCG(1, 2)).IntN)
	pool := postgrestest.New(t)
	w := newWorker(t, pool, all...)
	r, log := readerOf(t, pool), &readLog{journal: j}
	look := func(ps ...projection.Projection) map[string]reader.ModelLag {
		t.Helper()
		lags, err := r.Lags(t.Context(), log, ps...)
		if err != nil || !lags.All {
			t.Fatalf("%+v, %v", lags, err)
		}
		found := map[string]reader.ModelLag{}
		for _, m := range lags.Models {
			found[m.Name] = m
		}
		return found
	}
	behind := func(m reader.ModelLag) (events int) {
		for _, p := range m.Parts {
			events += p.Events
		}
		return events
	}
	if m := look(all...)["parcels"]; behind(m) != len(j.records) || len(m.Parts) != partitions {
		t.Errorf("of %d events nothing is applied: %+v", len(j.records), m)
	}
	j.post(t, w, 20)
	j.relayed(t, pool, 1000)
	log.reads = 0
	for name, m := range look(all...) {
		if behind(m) != 0 || !m.Known || m.Version != 1 || len(m.Parts) != partitions {
			t.Errorf("%s at the head: %+v", name, m)
		}
	}
	if log.reads != 0 {
		t.Errorf("the log was read %d times while nothing was behind", log.reads)
	}

	j.add("parcel-a", ignored{}, 500, 500) // changes no row
	j.add("parcel-a", ignored{}, 501, 501)
	late := topic.PartitionOf(j.records[len(j.records)-1].Stream.Partition(), partitions)
	for _, relayed := range []bool{false, true} {
		if relayed {
			j.relayed(t, pool, 1000)
		}
		for name, m := range look(all...) {
			if one := m.Parts[late]; behind(m) != 2 || one.Events != 2 || !one.Oldest.Equal(minute(500)) || one.Behind(minute(503)) != minute(503).Sub(minute(500)) {
				t.Errorf("%s, relayed %t: %+v", name, relayed, m)
			}
		}
	}
	j.post(t, w, 20)
	if m := look(all...)["totals"]; behind(m) != 0 || m.Parts[late].Behind(minute(503)) != 0 {
		t.Errorf("applied: %+v", m)
	}

	newer, missing := parcels, items
	newer.Version, missing.Name, missing.Schema = 2, "missing", strings.Replace(items.Schema, "items", "missing", 1)
	found := look(newer, missing)
	if m := found["parcels"]; m.Known || m.Version != 1 || behind(m) != 0 {
		t.Errorf("while version 1 serves: %+v", m)
	}
	if m := found["missing"]; m.Known || m.Version != 0 || len(m.Parts) != 0 {
		t.Errorf("while none serves: %+v", m)
	}
}
