package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// letter has two rows for each label, of which the second keeps the text. Both count.
type letter struct {
	N    int64  `db:"n"`
	Text string `db:"text"`
}

func letters(version int) projection.Table[letter] {
	return projection.Table[letter]{
		Name: "letters", Version: version, Stream: "label", History: true, Schema: `create table letters (like engine, n bigint not null, text text not null);`,
		On: []projection.Fold[letter]{
			projection.OnKeys(func(printed, es.Recorded) []string { return []string{"front", "back"} }, func(r *letter, side string, e printed, _ es.Recorded) {
				if r.N++; e.Text == "explode" {
					panic("it explodes")
				}
				if side == "back" {
					r.Text = e.Text
				}
			}),
		},
	}
}

// lengths are shared by all keys of a partition.
type length struct {
	N int64 `db:"n"`
}

func lengths(version int) projection.Table[length] {
	return projection.Table[length]{
		Name: "lengths", Version: version, Shared: true, Schema: `create table lengths (like engine, n bigint not null);`,
		On: []projection.Fold[length]{
			projection.OnKey(func(e printed, _ es.Recorded) string { return strconv.Itoa(len(e.Text)) }, func(r *length, e printed, _ es.Recorded) {
				if r.N++; e.Text == "explode" {
					panic("it explodes")
				}
			}),
		},
	}
}

// parking is what must be parked and folded, by the plainest means.
type parking struct {
	rows   map[plan.Key]int64
	parked map[string][]uint64 // by unit: "key/suffix", or "key" and a star where it is the whole key
}

// model folds a partition of the journal into a read model of which these are the rows of a text, and where it fails.
func (j *journal) model(out *parking, p int, name string, rows func(r es.Record, text string) []plan.Key, fails func(text, suffix string) bool) {
	byPosition := map[uint64]es.Record{}
	one := func(r es.Record, only string) (failed []string) { // folds into what is not parked, or into one unit
		star := r.Stream.Key + "*"
		var e printed
		unreadable := json.Unmarshal(r.Data, &e) != nil
		if only == "" && (unreadable || len(out.parked[star]) > 0) {
			return []string{star}
		}
		poisoned := func(k plan.Key) bool {
			u := k.Key + "/" + k.Suffix
			return (only == u || len(out.parked[u]) == 0) && fails(e.Text, k.Suffix)
		}
		if unreadable || only == star && slices.ContainsFunc(rows(r, e.Text), poisoned) {
			return []string{only}
		}
		for _, k := range rows(r, e.Text) {
			u := k.Key + "/" + k.Suffix
			switch {
			case only != "" && only != star && only != u:
			case only != u && len(out.parked[u]) > 0, poisoned(k):
				failed = append(failed, u)
			default:
				out.rows[k]++
			}
		}
		return failed
	}
	for _, r := range j.parts[p] {
		byPosition[r.Position] = r
		switch {
		case r.Type == "label.printed":
			for _, u := range one(r, "") {
				out.parked[u] = append(out.parked[u], r.Position)
			}
		case r.Stream.Category == operation.Category:
			var what operation.RowSkipped
			if err := json.Unmarshal(r.Data, &what); err != nil {
				panic(err)
			}
			u := what.Key + "/" + what.Suffix
			if what.Whole {
				u = what.Key + "*"
			}
			if what.Projection != name || len(out.parked[u]) == 0 {
				continue
			}
			wait := slices.DeleteFunc(out.parked[u], func(at uint64) bool { return at == what.Position })
			delete(out.parked, u)
			for i, at := range wait {
				failed := one(byPosition[at], u)
				if slices.Contains(failed, u) {
					out.parked[u] = wait[i:]
					break
				}
				for _, other := range failed {
					out.parked[other] = append(out.parked[other], at)
					slices.Sort(out.parked[other])
				}
			}
		}
	}
}

// modelOf is what the builds of letters and of lengths must hold.
func (j *journal) modelOf() map[string]*parking {
	all := map[string]*parking{}
	for _, name := range []string{"letters", "lengths"} {
		all[name] = &parking{map[plan.Key]int64{}, map[string][]uint64{}}
	}
	for p := range partitions {
		j.model(all["letters"], p, "letters", func(r es.Record, _ string) []plan.Key {
			return []plan.Key{{Key: r.Stream.Key, Suffix: "front"}, {Key: r.Stream.Key, Suffix: "back"}}
		}, func(text, side string) bool {
			return text == "explode" || side == "back" && strings.Contains(text, "\x00")
		})
		j.model(all["lengths"], p, "lengths", func(_ es.Record, text string) []plan.Key {
			return []plan.Key{{Key: strconv.Itoa(p), Suffix: strconv.Itoa(len(text))}}
		}, func(text, _ string) bool { return text == "explode" })
	}
	return all
}

// stored is what a build holds in fact.
func stored(t *testing.T, pool *pgxpool.Pool, name string, version int) *parking {
	t.Helper()
	out := &parking{map[plan.Key]int64{}, map[string][]uint64{}}
	schema := schemaOf(t, pool, name, version)
	var k plan.Key
	var n int64
	rows, err := pool.Query(t.Context(), fmt.Sprintf(`select key, suffix, n from %s.%s`, schema, name))
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&k.Key, &k.Suffix, &n}, func() error { out.rows[k] = n; return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	var whole, failed bool
	var at uint64
	rows, err = pool.Query(t.Context(), `select key, suffix, whole, position, error is not null from daybook.projection_parked p join daybook.projection_build b on b.id = p.build
		where b.schema_name = $1 order by key, suffix, whole, position`, schema)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&k.Key, &k.Suffix, &whole, &at, &failed}, func() error {
			u := k.Key + "/" + k.Suffix
			if whole {
				u = k.Key + "*"
			}
			if first := len(out.parked[u]) == 0; first != failed && !whole {
				t.Errorf("%s: of %s, position %d failed: %t", name, u, at, failed)
			}
			out.parked[u] = append(out.parked[u], at)
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// troubled fills a journal with labels of which some are poison of one sort or another, and with operations on what failed so far, or not.
func troubled(n int, pick func(n int) int) *journal {
	j := newJournal()
	add := func(stream string, e es.Event) *es.Record {
		j.add(stream, e, len(j.records), len(j.records))
		id, _ := es.ParseStreamID(stream)
		part := j.parts[j.partition(id.String())]
		return &part[len(part)-1]
	}
	var poison []*es.Record
	for range n {
		key := fmt.Sprintf("k%d", pick(9))
		switch what := pick(40); {
		case what == 0:
			poison = append(poison, add("label-"+key, printed{"explode"}))
		case what == 1:
			poison = append(poison, add("label-"+key, printed{"a\x00b"}))
		case what == 2:
			r := add("label-"+key, printed{"x"})
			r.Data = []byte(`{"text":`)
			poison = append(poison, r)
		case what < 10 && len(poison) > 0:
			bad := poison[pick(len(poison))]
			for _, row := range []operation.Row{
				{Projection: "letters", Key: bad.Stream.Key, Suffix: "front"}, {Projection: "letters", Key: bad.Stream.Key, Suffix: "back"},
				{Projection: "letters", Key: bad.Stream.Key, Whole: true}, {Projection: "lengths", Key: bad.Stream.Key, Whole: true},
				{Projection: "lengths", Key: strconv.Itoa(j.partition(bad.Stream.String())), Suffix: "7"},
			} {
				switch pick(3) {
				case 0:
					add("operation-"+bad.Stream.Key, operation.RowRetried{Row: row})
				case 1:
					add("operation-"+bad.Stream.Key, operation.RowSkipped{Row: row, Position: bad.Position, Reason: "poison"})
				}
			}
		case what < 15:
			add("parcel-"+key, counted{N: 1, Items: []item{{"sku", 1}}})
		default:
			add("label-"+key, printed{[]string{"a", "bb", "ccc"}[pick(3)]})
		}
	}
	for i, r := range j.records { // what was changed in its partition
		part := j.parts[j.partition(r.Stream.String())]
		at := slices.IndexFunc(part, func(o es.Record) bool { return o.Position == r.Position })
		j.records[i] = part[at]
	}
	return j
}

// Whatever fails in a row, that row waits and nothing else does; what operators retry and skip is done in the order of the log. A later build of
// the same log comes to the same.
func TestWhatFailsWaitsAndNothingElse(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			j := troubled(500, rand.New(rand.NewPCG(seed, 5)).IntN)
			agree := func(version int) {
				t.Helper()
				for name, want := range j.modelOf() {
					if version == 1 && seed == 0 && name == "letters" && len(want.parked) == 0 {
						t.Error("nothing is parked at the end")
					}
					if diff := cmp.Diff(want, stored(t, pool, name, version), cmp.AllowUnexported(parking{})); diff != "" {
						t.Errorf("%s (-want +got)\n%s", name, diff)
					}
				}
				check(t, pool, items, j)
			}
			run := func(version int) {
				w := newWorkerOn(t, j, pool, letters(version), lengths(version), items)
				ctx, cancel := context.WithCancel(t.Context())
				var owning sync.WaitGroup
				defer owning.Wait()
				defer cancel()
				if _, err := w.Checkpoints(t.Context(), []int{0, 1, 2}); err != nil {
					t.Fatal(err)
				}
				for p := range partitions {
					owning.Go(func() { w.Own(ctx, p) })
				}
				j.post(t, w, 40)
				until(t, func() bool { return reached(t, pool, j) })
			}
			run(1)
			agree(1)
			run(2)
			agree(2)
		})
	}
}

// reached tells whether every build has seen the whole journal.
func reached(t *testing.T, pool *pgxpool.Pool, j *journal) bool {
	t.Helper()
	for p := range partitions {
		var at uint64
		if err := pool.QueryRow(t.Context(), `select min(position) from daybook.projection_progress p join daybook.projection_build b on b.id = p.build
			where part = $1 and version = (select max(version) from daybook.projection_build n where n.projection = b.projection)`, p).Scan(&at); err != nil {
			t.Fatal(err)
		}
		if at < j.last(p) {
			return false
		}
	}
	return true
}

// An event of a newer schema stops its read model's partition, with the error that names it, and parks nothing. Others go on.
func TestANewerSchemaStopsAndParksNothing(t *testing.T) {
	t.Parallel()
	const p = 1
	pool, j, keys := postgrestest.New(t), newJournal(), keysOf(p, 3)
	for i, key := range keys {
		j.add("label-"+key, printed{"fine"}, i, i)
		j.add("parcel-"+key, counted{N: 1, Items: []item{{"sku", 1}}}, i, i)
	}
	bad := slices.IndexFunc(j.parts[p], func(r es.Record) bool { return r.Stream.Key == keys[1] && r.Type == "label.printed" })
	j.parts[p][bad].Meta = bytes.Replace(j.parts[p][bad].Meta, []byte(`"schema":1`), []byte(`"schema":9`), 1)
	for i, r := range j.records {
		if r.Position == j.parts[p][bad].Position {
			j.records[i] = j.parts[p][bad]
		}
	}
	w := newWorkerOn(t, j, pool, letters(1), items)
	ownedWhile(t, w, p, func() {
		if err := w.Apply(t.Context(), p, 0, j.parts[p]); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return w.Health() != nil && strings.Contains(w.Health().Error(), keys[1]) })
	})
	check(t, pool, items, j)
	if got := stored(t, pool, "letters", 1); len(got.parked) > 0 || len(got.rows) != 2 {
		t.Errorf("%+v", got)
	}
}

// ownedWhile runs what a partition's owner does beside something.
func ownedWhile(t *testing.T, w *worker.Worker, p int, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var owning sync.WaitGroup
	defer owning.Wait()
	defer cancel()
	if _, err := w.Checkpoints(t.Context(), []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	owning.Go(func() { w.Own(ctx, p) })
	f()
}
