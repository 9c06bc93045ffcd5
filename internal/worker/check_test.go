package worker_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// version is a row as it was after one event.
type version[Row any] struct {
	projection.Stamp

	Row    Row
	event  es.Recorded
	copied []byte
}

// fold is the definition of what a table holds: the versions of each row, by the plainest means.
func fold[Row any](t *testing.T, table projection.Table[Row], j *journal) map[plan.Key][]version[Row] {
	t.Helper()
	plans, err := plan.Compile(table)
	if err != nil {
		t.Fatal(err)
	}
	c, out := catalog(t), map[plan.Key][]version[Row]{}
	for p := range partitions {
		batch := plans[0].Begin(p)
		for _, rec := range j.parts[p] {
			if !slices.Contains(plans[0].Types, rec.Type) {
				continue
			}
			e, err := c.Open(rec)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := batch.Touch(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range keys {
				if err := batch.Apply(k, e); err != nil {
					t.Fatal(err)
				}
				var row Row
				copied, err := json.Marshal(batch.Row(k)) // later events change the row in place
				if before := out[k]; err == nil && len(before) > 0 && e.Stream.Category != table.Stream && string(before[len(before)-1].copied) == string(copied) {
					continue
				}
				if err == nil {
					err = json.Unmarshal(copied, &row)
				}
				if err != nil {
					t.Fatal(err)
				}
				v := version[Row]{Row: row, event: e, copied: copied, Stamp: projection.Stamp{Version: int64(len(out[k])), Revision: -1, Position: int64(e.Position), ValidFrom: e.OccurredAt(), RecordedFrom: e.Created}}
				for _, before := range out[k] {
					v.ValidFrom, v.RecordedFrom = latest(v.ValidFrom, before.event.OccurredAt()), latest(v.RecordedFrom, before.event.Created)
				}
				for _, w := range append(out[k], v) {
					if w.event.Stream.Category == plans[0].Stream {
						v.Revision = int64(w.event.Revision)
					}
				}
				out[k] = append(out[k], v)
			}
		}
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// check compares a table, and its history, with the fold of the log.
func check[Row any](t *testing.T, pool *pgxpool.Pool, table projection.Table[Row], j *journal) {
	t.Helper()
	want := fold(t, table, j)
	schema := schemaOf(t, pool, table.Name, table.Version)
	type stored struct {
		plan.Key
		projection.Stamp

		Row Row
	}
	got := map[plan.Key]version[Row]{}
	columns := query.Columns[Row]()
	rows, err := pool.Query(t.Context(), fmt.Sprintf(`select key, suffix, version, revision, position, valid_from, recorded_from, %s from %s.%s`, columns, schema, table.Name))
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		s := stored{}
		scan(t, rows, &s.Key, &s.Stamp, &s.Row)
		got[s.Key] = version[Row]{Row: s.Row, Stamp: s.Stamp}
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	newest := map[plan.Key]version[Row]{}
	for k, vs := range want {
		newest[k] = vs[len(vs)-1]
	}
	opts := cmp.Options{cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".event" || p.Last().String() == ".copied" }, cmp.Ignore()), cmp.AllowUnexported(version[Row]{})}
	if diff := cmp.Diff(newest, got, opts); diff != "" {
		t.Fatalf("%s differs from the fold of the log (-want +got)\n%s", table.Name, diff)
	}
	if !table.History {
		return
	}
	past := map[plan.Key][]version[Row]{}
	plans, err := plan.Compile(table)
	if err != nil {
		t.Fatal(err)
	}
	history, values := schema+"."+table.Name+"_history", make([]string, len(plans[0].Columns))
	for i, c := range plans[0].Columns {
		values[i] = c.InHistory(history)
	}
	rows, err = pool.Query(t.Context(), fmt.Sprintf(`select key, suffix, version, revision, position, valid_from, recorded_from, %s from %s h order by key, suffix, version`,
		strings.Join(values, ", "), history))
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		s := stored{}
		scan(t, rows, &s.Key, &s.Stamp, &s.Row)
		past[s.Key] = append(past[s.Key], version[Row]{Row: s.Row, Stamp: s.Stamp})
	}
	if diff := cmp.Diff(want, past, opts); diff != "" {
		t.Fatalf("the history of %s differs (-want +got)\n%s", table.Name, diff)
	}
	var wrong int // each version ends when the next begins, and the newest never
	if err := pool.QueryRow(t.Context(), fmt.Sprintf(`select count(*) from (
		select valid_to, recorded_to,
			lead(valid_from, 1, 'infinity') over w as next_valid, lead(recorded_from, 1, 'infinity') over w as next_recorded
		from %s.%s_history window w as (partition by key, suffix order by version)) v
		where valid_to <> next_valid or recorded_to <> next_recorded`, schema, table.Name)).Scan(&wrong); err != nil || wrong > 0 {
		t.Fatalf("%d versions in the history of %s do not end where the next begins (%v)", wrong, table.Name, err)
	}
}

func scan[Row any](t *testing.T, rows pgx.Rows, k *plan.Key, s *projection.Stamp, row *Row) {
	t.Helper()
	plans, err := plan.Compile(projection.Table[Row]{Name: "x", Version: 1, Schema: "x", On: []projection.Fold[Row]{projection.On(func(*Row, ignored, es.Recorded) {})}})
	if err != nil {
		t.Fatal(err)
	}
	b := plans[0].Begin(0)
	if _, err := b.Touch(es.Recorded{Event: ignored{}, Stream: es.StreamID{Category: "x", Key: "x"}}); err != nil {
		t.Fatal(err)
	}
	key := plan.Key{Key: "x"}
	dest := append([]any{&k.Key, &k.Suffix, &s.Version, &s.Revision, &s.Position, &s.ValidFrom, &s.RecordedFrom}, b.Fields(key)...)
	if err := rows.Scan(dest...); err != nil {
		t.Fatal(err)
	}
	*row = *b.Row(key).(*Row)
}

func schemaOf(t *testing.T, pool *pgxpool.Pool, name string, version int) (schema string) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `select schema_name from daybook.projection_build where projection = $1 and version = $2 order by id desc limit 1`, name, version).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func checkAll(t *testing.T, pool *pgxpool.Pool, j *journal) {
	t.Helper()
	check(t, pool, parcels, j)
	check(t, pool, items, j)
	check(t, pool, totals, j)
}
