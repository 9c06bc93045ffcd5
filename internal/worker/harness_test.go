package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

const partitions = 3

// Two events of parcels, one of labels with the same keys, one that no projection folds.

type counted struct {
	Items []item    `json:"items,omitempty"`
	N     int64     `json:"n"`
	Note  es.Sealed `json:"note,omitzero"`
}
type item struct {
	SKU string `json:"sku"`
	N   int64  `json:"n"`
}
type weighed struct {
	Grams int64 `json:"grams"`
}
type printed struct {
	Text string `json:"text"`
}
type ignored struct{}

func (counted) EventType() string { return "parcel.counted" }
func (weighed) EventType() string { return "parcel.weighed" }
func (printed) EventType() string { return "label.printed" }
func (ignored) EventType() string { return "parcel.ignored" }

func catalog(tb testing.TB) *es.Catalog {
	tb.Helper()
	c, err := es.NewCatalog([]es.Definition{es.Define[counted](1), es.Define[weighed](1), es.Define[printed](1), es.Define[ignored](1), operation.Catalog()[0], operation.Catalog()[1]})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// parcel has a column of every kind that rows use.
type parcel struct {
	Status   string     `db:"status"`
	N        int64      `db:"n"`
	Pieces   int        `db:"pieces"`
	Items    []item     `db:"items"` // null until there are some
	Tags     []string   `db:"tags"`  // an array of Postgres
	Heavy    bool       `db:"heavy"`
	Note     es.Sealed  `db:"note"`
	LabelAt  *time.Time `db:"label_at"`
	LastSeen time.Time  `db:"last_seen"`
}

const parcelSchema = `
-- one row per parcel; this comment has a semicolon;
create table parcels (
    n         bigint not null, -- not in the order of the fields
    like engine,
    status    text not null,
    pieces    int not null,
    items     jsonb,
    tags      text[],
    heavy     boolean not null,
    note      jsonb not null,
    label_at  timestamptz,
    last_seen timestamptz not null
);
create index on parcels (status, last_seen desc);
create index on parcels_history (status, valid_from desc);
`

var parcels = projection.Table[parcel]{
	Name: "parcels", Version: 1, Stream: "parcel", History: true, Schema: parcelSchema,
	On: []projection.Fold[parcel]{
		projection.On(func(r *parcel, e counted, at es.Recorded) {
			r.Status, r.N, r.Pieces = "counted", r.N+e.N, r.Pieces+1
			r.Items = append(r.Items, e.Items...)
			r.Note, r.LastSeen = e.Note, at.OccurredAt()
		}),
		projection.On(func(r *parcel, e weighed, at es.Recorded) {
			r.Status, r.Heavy, r.LastSeen = "weighed", e.Grams > 500, at.OccurredAt()
		}),
		projection.On(func(r *parcel, e printed, at es.Recorded) {
			if e.Text == "" {
				return // which changes nothing
			}
			seen := at.OccurredAt()
			r.Tags, r.LabelAt, r.LastSeen = append(r.Tags, e.Text), &seen, seen
		}),
	},
}

// perItem has several rows under a key.
type perItem struct {
	N int64 `db:"n"`
}

var items = projection.Table[perItem]{
	Name: "items", Version: 1, Stream: "parcel", Schema: `create table items (like engine, n bigint not null);`,
	On: []projection.Fold[perItem]{
		projection.OnKeys(func(e counted, _ es.Recorded) (skus []string) {
			for _, i := range e.Items {
				skus = append(skus, i.SKU)
			}
			return skus
		}, func(r *perItem, sku string, e counted, _ es.Recorded) {
			for _, i := range e.Items {
				if i.SKU == sku {
					r.N += i.N
				}
			}
		}),
	},
}

// totals are shared by all keys.
type total struct {
	Parcels int64 `db:"parcels"`
	N       int64 `db:"n"`
}

var totals = projection.Table[total]{
	Name: "totals", Version: 1, Shared: true, Schema: `create table totals (like engine, parcels bigint not null, n bigint not null);`,
	On: []projection.Fold[total]{
		projection.OnKey(func(e counted, _ es.Recorded) string { return "sum/" + strconv.FormatInt(e.N%2, 10) },
			func(r *total, e counted, _ es.Recorded) { r.Parcels++; r.N += e.N }),
	},
}

var all = []projection.Projection{parcels, items, totals}

// journal is a log as feed cuts it: the records of each partition.
type journal struct {
	es.Log

	records  []es.Record
	parts    [partitions][]es.Record
	revision map[string]uint64
}

func newJournal() *journal { return &journal{revision: map[string]uint64{}} }

var beginning = time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)

// add records an event, at a business time and a recorded time in minutes.
func (j *journal) add(stream string, e es.Event, occurred, recorded int) {
	id, err := es.ParseStreamID(stream)
	if err != nil {
		panic(err)
	}
	data, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	meta, err := json.Marshal(es.Meta{Schema: 1, OccurredAt: beginning.Add(time.Duration(occurred) * time.Minute)})
	if err != nil {
		panic(err)
	}
	rec := es.Record{
		Stream: id, Revision: j.revision[stream], Position: uint64(len(j.records))*3 + 1, Type: e.EventType(), Data: data, Meta: meta,
		Created: beginning.Add(time.Duration(recorded) * time.Minute),
	}
	j.revision[stream]++
	j.records = append(j.records, rec)
	p := topic.PartitionOf(id.Partition(), partitions)
	j.parts[p] = append(j.parts[p], rec)
}

// head is the journal as it was after n records.
func (j *journal) head(n int) *journal {
	h := newJournal()
	h.records = j.records[:n]
	for p := range partitions {
		h.parts[p] = slices.DeleteFunc(slices.Clone(j.parts[p]), func(r es.Record) bool { return r.Position > h.records[n-1].Position })
	}
	return h
}

func (j *journal) partition(stream string) int {
	id, err := es.ParseStreamID(stream)
	if err != nil {
		panic(err)
	}
	return topic.PartitionOf(id.Partition(), partitions)
}

func (j *journal) last(p int) uint64 {
	if n := len(j.parts[p]); n > 0 {
		return j.parts[p][n-1].Position
	}
	return 0
}

// ReadAll makes the journal an es.Log, as far as workers use one.
func (j *journal) ReadAll(_ context.Context, after uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		for _, rec := range unread(j.records, after) {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// newWorker makes a worker that has no log: a build that leaves the others would never catch up, so none does for being slow.
func newWorker(tb testing.TB, pool *pgxpool.Pool, ps ...projection.Projection) *worker.Worker {
	tb.Helper()
	w := newWorkerOn(tb, newJournal(), pool, ps...)
	w.BePatient()
	return w
}

// newWorkerOn makes a worker whose builds can catch up from a journal.
func newWorkerOn(tb testing.TB, j *journal, pool *pgxpool.Pool, ps ...projection.Projection) *worker.Worker {
	tb.Helper()
	cfg := config(tb, pool, ps...)
	cfg.Log = j
	w, err := worker.New(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Close)
	return w
}

func config(tb testing.TB, pool *pgxpool.Pool, ps ...projection.Projection) worker.Config {
	tb.Helper()
	return worker.Config{Pool: pool, Projections: ps, Catalog: catalog(tb), Log: newJournal(), Incarnation: "memory", Partitions: partitions}
}

// post feeds what the worker does not have yet, in batches of a size.
func (j *journal) post(t *testing.T, w *worker.Worker, size int) {
	t.Helper()
	at, err := w.Checkpoints(t.Context(), []int{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for p := range partitions {
		after := at[p]
		for batch := range slices.Chunk(unread(j.parts[p], after), size) {
			if err := w.Apply(t.Context(), p, after, batch); err != nil {
				t.Fatal(err)
			}
			after = batch[len(batch)-1].Position
		}
	}
}

func unread(records []es.Record, after uint64) []es.Record {
	i, _ := slices.BinarySearchFunc(records, after+1, func(r es.Record, at uint64) int { return int(r.Position) - int(at) })
	return records[i:]
}

// busy fills a journal with n events over some keys, with late facts and a clock that goes back now and then.
func busy(n int, pick func(n int) int) *journal {
	j := newJournal()
	texts := []string{"a", "", "ü ☃", `"quoted", {braced}`, `back\slash`}
	for i := range n {
		key := fmt.Sprintf("k%d", pick(7+n/30))
		if pick(9) == 0 {
			key = "sp~20ace" // escaped in the stream's name
		}
		occurred, recorded := pick(2*n+1), i-pick(3)
		switch pick(6) {
		case 0, 1:
			e := counted{N: int64(pick(100)), Note: es.Sealed{Subject: "customer-1", Ciphertext: []byte{1, 2, byte(pick(256))}}}
			for range pick(4) {
				e.Items = append(e.Items, item{fmt.Sprintf("sku%d", pick(3)), int64(pick(10))})
			}
			j.add("parcel-"+key, e, occurred, recorded)
		case 2, 3:
			j.add("parcel-"+key, weighed{int64(pick(1000))}, occurred, recorded)
		case 4:
			j.add("label-"+key, printed{texts[pick(len(texts))]}, occurred, recorded)
		case 5:
			j.add("parcel-"+key, ignored{}, occurred, recorded)
		}
	}
	return j
}
