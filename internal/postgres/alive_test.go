package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

// A server that ends every connection of a pool costs no caller a statement, however short a time the connections were idle.
func TestConnectionsThatTheServerEndedAreNotGivenOut(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), postgrestest.URL(t), postgres.Options{MaxConns: 8, Name: "ended"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	other, err := postgres.Open(t.Context(), pool.Config().ConnString(), postgres.Options{MaxConns: 1, Name: "ending"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	for range 5 {
		all := make([]*pgxpool.Conn, pool.Config().MaxConns)
		for i := range all {
			if all[i], err = pool.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range all {
			c.Release()
		}
		for left := 1; left > 0; {
			if err := other.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'ended'`).Scan(&left); err != nil {
				t.Fatal(err)
			}
		}
		for range all {
			if _, err := pool.Exec(t.Context(), "select 1"); err != nil {
				t.Fatalf("after the server had ended all connections: %v", err)
			}
		}
	}
}
