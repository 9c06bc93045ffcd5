package worker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

// A worker that began on empty tables must not scan them when they are large: the plans it keeps look rows up by key.
func TestPlansMadeOnEmptyTablesStayGood(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := newJournal()
	for i := range 3000 {
		j.add(fmt.Sprintf("parcel-k%d", i), counted{N: 1, Items: []item{{"x", 1}}}, i, i)
		j.add(fmt.Sprintf("parcel-k%d", i), weighed{1}, i, i)
	}
	j.head(10).post(t, newWorker(t, pool, all...), 20)
	if _, err := pool.Exec(t.Context(), `vacuum analyze`); err != nil { // Postgres knows now how small they are
		t.Fatal(err)
	}
	w := newWorker(t, pool, all...)
	j.post(t, w, 20) // hundreds of batches over the same connections
	scans := `select coalesce(sum(seq_scan), 0), coalesce(sum(idx_scan), 0) from pg_stat_user_tables where schemaname in (select schema_name from daybook.projection_build)`
	w.Close() // connections report their figures at their end, at the latest
	var sequential, indexed int64
	for tries := 0; indexed == 0 && tries < 1000; tries++ {
		if err := pool.QueryRow(t.Context(), scans).Scan(&sequential, &indexed); err != nil {
			t.Fatal(err)
		}
	}
	// Building the tables' indexes scans them once each.
	if tables := int64(4); indexed == 0 || sequential > 3*tables {
		t.Errorf("%d scans of whole tables and %d look-ups in %d batches", sequential, indexed, len(j.records)/20)
	}
	rows, err := pool.Query(t.Context(), `select relname || ': ' || seq_scan from pg_stat_user_tables where schemaname in (select schema_name from daybook.projection_build)`)
	if err != nil {
		t.Fatal(err)
	}
	each, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("whole-table scans: %s", strings.Join(each, ", "))
}
