package doctor

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

// Whatever is read beside the first connection is as the first one sees it, though it has changed since.
func TestTablesAreReadInOneSnapshot(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	count := func(ctx context.Context, tx pgx.Tx) (n int) {
		t.Helper()
		if err := tx.QueryRow(ctx, `select count(*) from rows`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	exec(`create table rows (n int)`)
	exec(`insert into rows values (1)`)
	err := pgx.BeginTxFunc(t.Context(), pool, asOfNow, func(tx pgx.Tx) error {
		var snapshot string
		if err := tx.QueryRow(t.Context(), `select pg_export_snapshot()`).Scan(&snapshot); err != nil {
			return err
		}
		exec(`insert into rows values (2)`)
		return besides(t.Context(), pool, snapshot, func(ctx context.Context, beside pgx.Tx) error {
			if one, two := count(ctx, tx), count(ctx, beside); one != 1 || two != 1 {
				t.Errorf("the first connection sees %d rows, the one beside it %d, want 1", one, two)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is found beside one another is counted whole, and of each invariant the first findings are kept.
func TestReportsAreMerged(t *testing.T) {
	t.Parallel()
	all := newReport()
	for part := range 3 {
		r := newReport()
		for i := range 40 {
			r.find(Finding{Invariant: "I3", Problem: fmt.Sprint(part, i)})
		}
		r.find(Finding{Invariant: "I5", Problem: strconv.Itoa(part)})
		r.Checked["rows"] = 10 + part
		r.skipf("part %d", part)
		r.notef("part %d of 100%%", part)
		all.merge(r)
	}
	if all.Breaches["I3"] != 120 || all.Breaches["I5"] != 3 || all.Checked["rows"] != 33 || len(all.Skipped) != 3 || len(all.Notes) != 3 || all.Notes[2] != "part 2 of 100%" {
		t.Errorf("%+v", all)
	}
	kept := map[string]int{}
	for _, f := range all.Findings {
		kept[f.Invariant]++
	}
	if kept["I3"] != mostKept || kept["I5"] != 3 || all.Findings[40].Problem != "0" || all.Findings[41].Problem != fmt.Sprint(1, 0) {
		t.Errorf("%v, %v", kept, all.Findings[40:42])
	}
}
