package postgres_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
)

func TestValuesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	id, position := es.CommandID("shop", "place", "orders", "k1"), uint64(1<<62)
	at := es.Micro(time.Date(2026, 3, 29, 1, 30, 0, 123456789, time.FixedZone("", 7200)))
	type values struct {
		ID       es.UUID
		IDs      []es.UUID
		Position uint64
		At       time.Time
		Ats      []time.Time
	}
	rows, err := pool.Query(t.Context(), "select $1::uuid id, $2::uuid[] ids, $3::bigint position, $4::timestamptz at, array[$4::timestamptz] ats",
		id, []es.UUID{id}, position, at)
	if err != nil {
		t.Fatal(err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[values])
	if err != nil {
		t.Fatal(err)
	}
	if row.ID != id || len(row.IDs) != 1 || row.IDs[0] != id || row.Position != position {
		t.Errorf("got %+v", row)
	}
	if row.At != at || row.Ats[0] != at { // ==, so in UTC and to the microsecond
		t.Errorf("times %v %v, want %v", row.At, row.Ats, at)
	}
}

// Tables of a newer program are refused, and left as they are.
func TestTablesOfANewerProgram(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	if _, err := pool.Exec(t.Context(), "insert into daybook.migration (version_id, is_applied) values (99999, true)"); err != nil {
		t.Fatal(err)
	}
	err := postgres.Migrate(t.Context(), pool.Config().ConnString())
	if newer, ok := errors.AsType[*postgres.NewerError](err); !ok || newer.Has != 99999 || newer.Knows >= newer.Has || !strings.Contains(err.Error(), "version 99999") {
		t.Errorf("tables of version 99999: %v", err)
	}
	var last int64
	if err := pool.QueryRow(t.Context(), "select max(version_id) from daybook.migration").Scan(&last); err != nil || last != 99999 {
		t.Errorf("then they are of version %d, %v", last, err)
	}
}

// Processes start at once, on a database that none has migrated.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	url := pool.Config().ConnString()
	if _, err := pool.Exec(t.Context(), "drop schema daybook cascade"); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = postgres.Migrate(t.Context(), url) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var n, twice int
	err := pool.QueryRow(t.Context(), "select count(*), count(*) - count(distinct version_id) from daybook.migration").Scan(&n, &twice)
	if err != nil || n < 3 || twice != 0 {
		t.Errorf("%d migrations, %d of them twice: %v", n, twice, err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	for _, address := range []string{
		"postgres://u:" + secret + "@127.0.0.1:1/db",        // no server there
		"postgres://u:" + secret + "@127.0.0.1:notaport/db", // not an address
	} {
		_, err := postgres.Open(t.Context(), address, postgres.Options{})
		if err == nil {
			t.Fatalf("opened %s", address)
		}
		if !strings.Contains(err.Error(), "Postgres") || strings.Contains(err.Error(), secret) {
			t.Errorf("error: %v", err)
		}
	}
}

// A file of passwords that is not there, as on another machine, is named: a client passes over it, and the server says only that the
// password is wrong.
func TestPassfileThatIsNotThere(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "absent.pgpass")
	for _, address := range []string{
		"postgres://u@127.0.0.1:1/db?sslmode=disable&passfile=" + absent,
		"host=127.0.0.1 port=1 user=u dbname=db passfile=" + absent,
	} {
		_, opened := postgres.Open(t.Context(), address, postgres.Options{})
		for _, err := range []error{opened, postgres.Migrate(t.Context(), address)} {
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), absent) {
				t.Errorf("%s: %v", address, err)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	registry := prometheus.NewRegistry()
	pool, err := postgres.Open(t.Context(), url, postgres.Options{Name: "relay", MaxConns: 3, PgBouncer: true, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var name string
	var prepared int
	err = pool.QueryRow(t.Context(), "select current_setting('application_name'), (select count(*) from pg_prepared_statements) where $1", true).Scan(&name, &prepared)
	if err != nil || name != "relay" || prepared != 0 || pool.Config().MaxConns != 3 {
		t.Errorf("name %q, %d prepared, %d connections: %v", name, prepared, pool.Config().MaxConns, err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 4 {
		t.Errorf("%d metrics: %v", len(families), err)
	}
	for url, want := range map[string]int32{url: 16, url + "&pool_max_conns=5": 5} {
		pool, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := pool.Config().MaxConns; got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
		pool.Close()
	}
}
