package postgres_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

func TestOpen(t *testing.T) {
	b := time.Now()
	pool := postgrestest.New(t)
	t.Log(time.Since(b))
	b = time.Now()
	pool2 := postgrestest.New(t)
	t.Log(time.Since(b))
	_ = pool2
	b = time.Now()
	if err := postgres.Migrate(t.Context(), pool.Config().ConnString()); err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(b))
	id := es.CommandID("a", "b", "c", "d")
	var back es.UUID
	if err := pool.QueryRow(t.Context(), "select $1::uuid", id).Scan(&back); err != nil {
		t.Error(err)
	}
	var backs []es.UUID
	if err := pool.QueryRow(t.Context(), "select $1::uuid[]", []es.UUID{id}).Scan(&backs); err != nil {
		t.Error(err)
	}
	var pos uint64
	if err := pool.QueryRow(t.Context(), "select $1::bigint", uint64(7)).Scan(&pos); err != nil {
		t.Error(err)
	}
	t.Log(back, id, backs, pos)
}
