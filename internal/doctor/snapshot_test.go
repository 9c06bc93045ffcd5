package doctor

import (
	"context"
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
