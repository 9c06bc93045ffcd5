package worker_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// What queries answer at any moment is compared with what the definition says of the fold of the log.

type detail struct {
	projection.Stamp

	Key      string    `db:"key"`
	Status   string    `db:"status"`
	N        int64     `db:"n"`
	Pieces   int       `db:"pieces"`
	Items    []item    `db:"items"`
	Tags     []string  `db:"tags"`
	LastSeen time.Time `db:"last_seen"`
}

func viewOf(t *testing.T, pool *pgxpool.Pool, ps ...projection.Projection) query.View {
	t.Helper()
	r, err := reader.New(reader.Config{Pool: pool, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.View(ps...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// relayed writes the relay's row: it has relayed the whole journal, and was caught up at a minute.
func (j *journal) relayed(t *testing.T, pool *pgxpool.Pool, caughtUp int) {
	t.Helper()
	last := make([]int64, partitions)
	for p := range last {
		last[p] = int64(j.last(p))
	}
	position := int64(0)
	if n := len(j.records); n > 0 {
		position = int64(j.records[n-1].Position)
	}
	if _, err := pool.Exec(t.Context(), `delete from daybook.relay`); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `insert into daybook.relay (position, last, partitions, incarnation, caught_up_at) values ($1, $2, $3, 'memory', $4)`,
		position, last, partitions, minute(caughtUp)); err != nil {
		t.Fatal(err)
	}
}

func minute(m int) time.Time { return beginning.Add(time.Duration(m) * time.Minute) }

// at is the definition: the last version whose times are both at or before the moment.
func at[Row any](versions []version[Row], m query.Moment) (found *version[Row]) {
	for i, v := range versions {
		if m.Revision != nil {
			if v.Revision == int64(*m.Revision) && found == nil {
				found = &versions[i]
			}
			continue
		}
		if (m.AsOf == nil || !v.ValidFrom.After(*m.AsOf)) && (m.KnownAt == nil || !v.RecordedFrom.After(*m.KnownAt)) {
			found = &versions[i]
		}
	}
	return found
}

func TestAnswersAtAnyMoment(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	const n = 500
	j := busy(n, rand.New(rand.NewPCG(20, 21)).IntN)
	j.post(t, newWorker(t, pool, all...), 40)
	j.relayed(t, pool, 3*n)
	versions := fold(t, parcels, j)
	v := viewOf(t, pool, parcels)
	var keys []string
	for k := range versions {
		keys = append(keys, k.Key)
	}

	rapid.Check(t, func(rt *rapid.T) {
		var m query.Moment
		switch rapid.IntRange(0, 4).Draw(rt, "axes") {
		case 0:
			m.AsOf = new(minute(rapid.IntRange(-1, 2*n+2).Draw(rt, "as of")))
		case 1:
			m.KnownAt = new(minute(rapid.IntRange(-4, n+2).Draw(rt, "known at")))
		case 2:
			m.AsOf = new(minute(rapid.IntRange(-1, 2*n+2).Draw(rt, "as of")))
			m.KnownAt = new(minute(rapid.IntRange(-4, n+2).Draw(rt, "known at")))
		case 3:
			r := rapid.Uint64Range(0, 40).Draw(rt, "revision")
			m.Revision = &r
		}
		ask := query.Ask{Moment: m}

		key := rapid.SampledFrom(keys).Draw(rt, "key")
		one := ask
		one.Key = key
		got, answer, err := query.One[detail](t.Context(), v, one, `select `+query.Columns[detail]()+` from {parcels} where key = $1`, key)
		if err != nil {
			rt.Fatal(err)
		}
		want := at(versions[plan.Key{Key: key}], m)
		if (want == nil) != (got == nil) || want != nil && (got.Stamp != want.Stamp || got.Status != want.Row.Status || got.N != want.Row.N || got.Pieces != want.Row.Pieces ||
			!slices.Equal(got.Items, want.Row.Items) || !slices.Equal(got.Tags, want.Row.Tags)) {
			rt.Fatalf("%s at %+v\n got %+v\nwant %+v", key, m, got, want)
		}
		if asked := m.AsOf != nil || m.KnownAt != nil; asked != (answer.KnownAt != nil) || asked != (answer.AsOf != nil) {
			rt.Fatalf("asked for %+v, answered as of %s, known at %s", m, answer.AsOf, answer.KnownAt)
		}

		status := rapid.SampledFrom([]string{"counted", "weighed", "", "none"}).Draw(rt, "status")
		list, _, err := query.All[detail](t.Context(), v, ask, `select `+query.Columns[detail]()+` from {parcels} where status = $1 order by key`, status)
		if err != nil {
			rt.Fatal(err)
		}
		var sum, wantSum int64
		listed := map[string]projection.Stamp{}
		for _, d := range list {
			listed[d.Key], sum = d.Stamp, sum+d.N
		}
		wanted := map[string]projection.Stamp{}
		for k, vs := range versions {
			if v := at(vs, m); v != nil && v.Row.Status == status {
				wanted[k.Key], wantSum = v.Stamp, wantSum+v.Row.N
			}
		}
		if diff := cmp.Diff(wanted, listed); diff != "" || sum != wantSum {
			rt.Fatalf("list of %q at %+v (-want +got)\n%s", status, m, diff)
		}

		type report struct {
			Parcels int64 `db:"parcels"`
			Sum     int64 `db:"sum"`
		}
		r, _, err := query.One[report](t.Context(), v, ask, `select count(*) as parcels, coalesce(sum(n), 0)::bigint as sum from {parcels} where status = $1`, status)
		if err != nil || r.Sum != wantSum || r.Parcels != int64(len(wanted)) {
			rt.Fatalf("report of %q at %+v: %+v, %v; want %d, %d", status, m, r, err, len(wanted), wantSum)
		}
	})
}

func TestKeysetPagesAtAPastMoment(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := newJournal()
	for i := range 40 {
		j.add(fmt.Sprintf("parcel-p%02d", i), counted{N: int64(i)}, i/3, i) // several at one time
	}
	for i := range 20 {
		j.add(fmt.Sprintf("parcel-p%02d", 2*i), weighed{1}, 100, 100)
	}
	w := newWorker(t, pool, parcels)
	j.post(t, w, 50)
	v := viewOf(t, pool, parcels)
	ask := query.Ask{Moment: query.Moment{AsOf: new(minute(99))}}
	var pages []string
	before, beforeKey := minute(1000), ""
	for {
		page, _, err := query.All[detail](t.Context(), v, ask, `select `+query.Columns[detail]()+` from {parcels}
			where status = $1 and (last_seen, key) < ($2, $3) order by last_seen desc, key desc limit 7`, "counted", before, beforeKey)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, d := range page {
			pages = append(pages, d.Key)
		}
		before, beforeKey = page[len(page)-1].LastSeen, page[len(page)-1].Key
	}
	var want []string
	for i := 39; i >= 0; i-- {
		want = append(want, fmt.Sprintf("p%02d", i))
	}
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("pages (-want +got)\n%s", diff)
	}
}

func TestPastMomentsNeedHistory(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	newWorker(t, pool, all...)
	v := viewOf(t, pool, items)
	ask := query.Ask{Moment: query.Moment{AsOf: new(minute(1))}}
	if _, _, err := query.All[perItem](t.Context(), v, ask, `select n from {items}`); !errors.Is(err, query.ErrNoHistory) {
		t.Errorf("got %v", err)
	}
	if _, _, err := query.All[perItem](t.Context(), v, query.Ask{}, `select n from {parcels}`); err == nil {
		t.Error("a view answered from a projection it does not have")
	}
}

func TestJoinOfTwoProjections(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := newJournal()
	j.add("parcel-a", counted{N: 4, Items: []item{{"x", 1}, {"y", 2}}}, 1, 1)
	j.add("parcel-b", counted{N: 5}, 1, 1)
	j.post(t, newWorker(t, pool, all...), 50)
	type joined struct {
		Key   string `db:"key"`
		Items int64  `db:"items"`
	}
	got, _, err := query.All[joined](t.Context(), viewOf(t, pool, parcels, items), query.Ask{},
		`select p.key, coalesce(sum(i.n), 0)::bigint as items from {parcels} p left join {items} i on i.key = p.key group by p.key order by p.key`)
	if diff := cmp.Diff([]joined{{"a", 3}, {"b", 0}}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// However a query is written, it says about a moment after everything what it says about now.
func TestEveryFormOfQueryWorksAtAnyMoment(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(300, rand.New(rand.NewPCG(22, 23)).IntN)
	j.post(t, newWorker(t, pool, all...), 50)
	v := viewOf(t, pool, parcels)
	for name, sql := range map[string]string{
		"plain":            `select key, n from {parcels} where status = $1 order by key`,
		"the table's name": `select parcels.key, parcels.n from {parcels} where parcels.status = $1 order by parcels.key`,
		"an alias":         `select p.key, p.n from {parcels} p where p.status = $1 order by p.key`,
		"an alias by as":   `select p.key, p.n from {parcels} as p where p.status = $1 order by p.key`,
		"renamed columns":  `select p.a as key, p.n from {parcels} p(a) where p.status = $1 order by 1`,
		"a join":           `select a.key, b.n from {parcels} a join {parcels} b using (key) where a.status = $1 order by a.key`,
		"a left join":      `select a.key, coalesce(b.n, 0) as n from {parcels} a left join {parcels} b on b.key = a.key and b.heavy where a.status = $1 order by a.key`,
		"a comma":          `select a.key, b.n from {parcels} a, {parcels} b where a.key = b.key and a.status = $1 order by a.key`,
		"a subquery":       `select key, n from (select * from {parcels} p where p.status = $1) q order by key`,
		"in":               `select key, n from {parcels} where key in (select q.key from {parcels} q where q.status = $1) order by key`,
		"exists":           `select key, n from {parcels} p where exists (select from {parcels} q where q.key = p.key and q.status = $1) order by key`,
		"lateral":          `select p.key, l.n from {parcels} p, lateral (select q.n from {parcels} q where q.key = p.key) l where p.status = $1 order by p.key`,
		"an expression":    `with few as (select key, n from {parcels} x where x.status = $1) select key, n from few order by key`,
		"recursive":        `with recursive up(i) as (select 1 union all select i + 1 from up where i < 2), few as (select * from {parcels}) select key, n from few s, up where s.status = $1 and up.i = 1 order by key`,
		"a union":          `(select key, n from {parcels} p where heavy and status = $1) union all (select key, n from {parcels} p where not heavy and status = $1) order by key`,
		"a window":         `select key, sum(n) over (order by key)::bigint as n from {parcels} p where status = $1 order by key`,
		"a comment":        "-- with\nselect key, n from {parcels} p where status = $1 order by key",
	} {
		type pair struct {
			Key string `db:"key"`
			N   int64  `db:"n"`
		}
		now, _, err := query.All[pair](t.Context(), v, query.Ask{}, sql, "counted")
		if err != nil || len(now) == 0 {
			t.Errorf("%s, now: %d rows, %v", name, len(now), err)
			continue
		}
		then, _, err := query.All[pair](t.Context(), v, query.Ask{Moment: query.Moment{AsOf: new(minute(100_000))}}, sql, "counted")
		if diff := cmp.Diff(now, then); err != nil || diff != "" {
			t.Errorf("%s, as of a later moment: %v\n%s", name, err, diff)
		}
	}
}

func TestWaitsForItsPosition(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	w := newWorker(t, pool, all...)
	v := viewOf(t, pool, parcels)
	j := newJournal()
	keys := map[int]string{} // one key per partition
	for i := 0; len(keys) < partitions; i++ {
		key := fmt.Sprintf("k%d", i)
		before := len(j.records)
		j.add("parcel-"+key, counted{N: 1}, i, i)
		for p := range partitions {
			if n := len(j.parts[p]); n > 0 && len(j.records) == before+1 && j.parts[p][n-1].Position == j.records[before].Position && keys[p] == "" {
				keys[p] = key
			}
		}
	}
	end := j.records[len(j.records)-1].Position
	ask := func(key string, position uint64, wait time.Duration) (query.Answer, error) {
		_, answer, err := query.All[perItem](t.Context(), v, query.Ask{Key: key, MinPosition: position, Wait: wait}, `select n from {parcels} where $1 = '' or key = $1`, key)
		return answer, err
	}
	notYet := func(what, key string, position uint64) {
		t.Helper()
		if _, err := ask(key, position, time.Millisecond); !errors.Is(err, query.ErrNotYet) {
			t.Errorf("%s: got %v, want ErrNotYet", what, err)
		}
	}
	reached := func(what, key string, position, want uint64) {
		t.Helper()
		if answer, err := ask(key, position, time.Minute); err != nil || answer.Position != want {
			t.Errorf("%s: position %d, %v; want %d", what, answer.Position, err, want)
		}
	}
	notYet("nothing applied, the relay never ran", "", 1)
	reached("nothing asked for", "", 0, 0)

	for p := range partitions { // the relay's row is older than the log
		if err := w.Apply(t.Context(), p, 0, j.parts[p]); err != nil {
			t.Fatal(err)
		}
		reached("the key's own partition", keys[p], j.last(p), j.last(p))
	}
	notYet("beyond the end of the key's partition, by a relay that knows of nothing", keys[0], end+1)
	if j.last(0) != end || j.last(1) != end || j.last(2) != end {
		notYet("all partitions, before the relay says that the quiet ones have nothing more", "", end)
	}
	j.relayed(t, pool, 1)
	reached("all, quiet ones included", "", end, end)
	for p := range partitions {
		reached("one key in a quiet partition", keys[p], end, end)
	}
	notYet("beyond the end", "", end+1)

	// A query that waits is answered when the batch is there.
	j.add("parcel-"+keys[0], counted{N: 1}, 500, 500)
	next := j.last(0)
	j.relayed(t, pool, 2)
	notYet("the relay is ahead of the rows", "", next)
	answered := make(chan error, 1)
	go func() {
		_, err := ask("", next, time.Minute)
		answered <- err
	}()
	j.post(t, w, 10)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestKnownAtWaitsForTheRelay(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	w := newWorker(t, pool, all...)
	v := viewOf(t, pool, parcels)
	j := newJournal()
	j.add("parcel-a", counted{N: 1}, 1, 10)
	j.post(t, w, 10)
	ask := func(m query.Moment, wait time.Duration) (*detail, query.Answer, error) {
		return query.One[detail](t.Context(), v, query.Ask{Key: "a", Moment: m, Wait: wait}, `select `+query.Columns[detail]()+` from {parcels} where key = $1`, "a")
	}
	j.relayed(t, pool, 20)
	if _, _, err := ask(query.Moment{KnownAt: new(minute(20))}, time.Millisecond); !errors.Is(err, query.ErrNotYet) {
		t.Errorf("known at the very time the relay was caught up: %v, want ErrNotYet", err)
	}
	if d, a, err := ask(query.Moment{KnownAt: new(minute(19))}, time.Minute); err != nil || d == nil || d.N != 1 || !a.KnownAt.Equal(minute(19)) || a.AsOf == nil {
		t.Errorf("known at 19: %+v, %+v, %v", d, a, err)
	}
	j.add("parcel-a", counted{N: 2}, 1, 25) // relayed, and not yet a row
	j.relayed(t, pool, 30)
	if _, _, err := ask(query.Moment{KnownAt: new(minute(26))}, time.Millisecond); !errors.Is(err, query.ErrNotYet) {
		t.Errorf("the rows are behind the relay: %v, want ErrNotYet", err)
	}
	if d, a, err := ask(query.Moment{AsOf: new(minute(26))}, time.Minute); err != nil || d.N != 1 || !a.KnownAt.Equal(minute(10)) || !a.AsOf.Equal(minute(26)) {
		t.Errorf("as of alone takes the rows as they stand: %+v, %+v, %v", d, a, err)
	}
	j.post(t, w, 10)
	if d, _, err := ask(query.Moment{KnownAt: new(minute(26))}, time.Minute); err != nil || d.N != 3 {
		t.Errorf("known at 26: %+v, %v", d, err)
	}
	if d, _, err := ask(query.Moment{KnownAt: new(minute(24))}, time.Minute); err != nil || d.N != 1 {
		t.Errorf("known at 24 is what it was: %+v, %v", d, err)
	}
}

func TestAnotherVersionServes(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	v := viewOf(t, pool, parcels)
	get := func(v query.View) error {
		_, _, err := query.All[detail](t.Context(), v, query.Ask{}, `select `+query.Columns[detail]()+` from {parcels}`)
		return err
	}
	if err := get(v); !errors.Is(err, query.ErrRebuilding) {
		t.Errorf("before any build: %v", err)
	}
	j := newJournal()
	j.add("parcel-a", counted{N: 1}, 1, 10)
	j.post(t, newWorker(t, pool, parcels), 10)
	if err := get(v); err != nil {
		t.Error(err)
	}
	next := parcels
	next.Version = 2
	w := newWorkerOn(t, j, pool, next)
	if err := get(v); err != nil {
		t.Errorf("the old version, while the new one catches up: %v", err)
	}
	if err := get(viewOf(t, pool, next)); !errors.Is(err, query.ErrRebuilding) {
		t.Errorf("the new version, while it catches up: %v", err)
	}
	for p := range partitions {
		owned(t, w, pool, partitions-1-p, next)
	}
	if err := get(viewOf(t, pool, next)); err != nil {
		t.Errorf("the new version, caught up: %v", err)
	}
	if err := get(v); !errors.Is(err, query.ErrRebuilding) {
		t.Errorf("the old version, replaced: %v", err)
	}
}
