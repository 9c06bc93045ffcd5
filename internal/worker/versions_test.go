package worker_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// asked gives the rows of a query, each as one text.
func asked(t *testing.T, pool *pgxpool.Pool, sql string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A wide column is in the version that changed it and in no other. An event of another stream that changes nothing makes no version.
func TestWhatDidNotChangeIsNotKeptAgain(t *testing.T) {
	t.Parallel()
	j := newJournal()
	for i, e := range []es.Event{
		counted{N: 1, Items: []item{{"x", 1}}}, weighed{1}, printed{""}, printed{"a"}, weighed{2}, counted{N: 1, Items: []item{{"y", 2}}}, weighed{3},
	} {
		j.add(strings.Split(e.EventType(), ".")[0]+"-k", e, i, i)
	}
	for _, size := range []int{1, 2, 20} { // whether a version's row was loaded or is of the same batch
		pool := postgrestest.New(t)
		j.post(t, newWorker(t, pool, parcels), size)
		check(t, pool, parcels, j)
		schema := schemaOf(t, pool, "parcels", 1)
		got := asked(t, pool, `select concat_ws(' ', version, position, "items.version", items::text, "tags.version", tags::text) from `+schema+`.parcels_history order by version`)
		want := []string{
			`0 1 0 [{"n": 1, "sku": "x"}] 0`, `1 4 0 0`, `2 10 0 2 {a}`, `3 13 0 2`, `4 16 4 [{"n": 1, "sku": "x"}, {"n": 2, "sku": "y"}] 2`, `5 19 4 2`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("versions, batches of %d (-want +got)\n%s", size, diff)
		}
	}
}

// sighting is a row that one event makes.
type sighting struct {
	Grams int64 `db:"grams"`
}

var sightings = projection.Table[sighting]{
	Name: "sightings", Version: 1, Stream: "parcel", History: true, Once: true, Schema: `create table sightings (like engine, grams bigint not null);`,
	On: []projection.Fold[sighting]{
		projection.OnKey(func(e weighed, at es.Recorded) string { return strconv.FormatInt(e.Grams, 10) }, func(r *sighting, e weighed, _ es.Recorded) { r.Grams = e.Grams }),
	},
}

// Rows that are made once are their own history. One that is made twice is an error that names event and row.
func TestRowsThatAreMadeOnce(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := newJournal()
	for i := range 5 {
		j.add("parcel-k", weighed{int64(i)}, i, i)
	}
	w := newWorkerOn(t, j, pool, sightings)
	j.post(t, w, 2)
	j.relayed(t, pool, 10)
	if tables := asked(t, pool, `select tablename::text from pg_tables where schemaname = '`+schemaOf(t, pool, "sightings", 1)+`'`); len(tables) != 1 {
		t.Errorf("tables %v", tables)
	}
	type row struct {
		Grams int64 `db:"grams"`
		projection.Stamp
	}
	view := viewOf(t, pool, sightings)
	for asks, want := range map[string]struct {
		moment query.Moment
		rows   string
	}{
		"now":         {query.Moment{}, "[0 1 2 3 4]"},
		"as of":       {query.Moment{AsOf: new(minute(2))}, "[0 1 2]"},
		"known at":    {query.Moment{KnownAt: new(minute(1))}, "[0 1]"},
		"by revision": {query.Moment{Revision: new(uint64(3))}, "[3]"},
	} {
		rows, _, err := query.All[row](t.Context(), view, query.Ask{Moment: want.moment}, `select `+query.Columns[row]()+` from {sightings} order by suffix`)
		var grams []int64
		for _, r := range rows {
			grams = append(grams, r.Grams)
		}
		if got := fmt.Sprint(grams); err != nil || got != want.rows {
			t.Errorf("%s: %s, %v; want %s", asks, got, err, want.rows)
		}
	}
	p := j.partition("parcel-k")
	for _, again := range []int64{9, 3, 9} { // of which two are made twice: one before the batch, one in it
		j.add("parcel-k", weighed{again}, 6, 6)
	}
	ownedWhile(t, w, p, func() {
		j.post(t, w, 10)
		until(t, func() bool { return len(spots(t, pool, "")) == 2 })
	})
	want := []spot{{"k", "3", false, j.records[len(j.records)-2].Position, "parcel.weighed", true}, {"k", "9", false, j.last(p), "parcel.weighed", true}}
	if got := spots(t, pool, ""); !slices.Equal(got, want) {
		t.Errorf("parked is %+v, want %+v", got, want)
	}
}

// One row with many versions: what was written long ago is found by one look-up of the primary key, and only where it is asked for.
func TestAValueOfLongAgoIsOneLookUp(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := newJournal()
	j.add("parcel-k", counted{N: 1, Items: []item{{"x", 1}}}, 0, 0)
	for i := range 2000 {
		j.add("parcel-k", weighed{int64(i)}, i, i)
	}
	j.post(t, newWorker(t, pool, parcels), 500)
	if _, err := pool.Exec(t.Context(), `analyze`); err != nil {
		t.Fatal(err)
	}
	type row struct {
		Items []item `db:"items"`
	}
	got, _, err := query.One[row](t.Context(), viewOf(t, pool, parcels), query.Ask{Moment: query.Moment{AsOf: new(minute(1500))}}, `select items from {parcels} where key = $1`, "k")
	if err != nil || got == nil || len(got.Items) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	plans, err := plan.Compile(parcels)
	if err != nil {
		t.Fatal(err)
	}
	history := schemaOf(t, pool, "parcels", 1) + ".parcels_history"
	explained := func(field string) string {
		i := slices.IndexFunc(plans[0].Columns, func(c plan.Column) bool { return c.Name == field })
		return strings.Join(asked(t, pool, `explain (costs off) select `+plans[0].Columns[i].InHistory(history)+` from `+history+` h
			where h.key = 'k' and h.suffix = '' and h.version = 1500`), "\n")
	}
	if p := explained("items"); strings.Count(p, "Index Scan using parcels_history_pkey") != 2 || strings.Contains(p, "Filter") || strings.Contains(p, "Seq Scan") {
		t.Errorf("a wide column takes more than two look-ups\n%s", p)
	}
	if p := explained("status"); strings.Contains(p, "SubPlan") {
		t.Errorf("a scalar column takes more than its own version\n%s", p)
	}
}
