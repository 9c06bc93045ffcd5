// Package postgrestest gives tests a database of their own on a real Postgres.
//
// One embedded Postgres runs per test process, from the first test that asks until the process ends, however it ends;
// DAYBOOK_TEST_POSTGRES, the URL of a superuser, names another to use. Every test gets a fresh copy of a migrated
// template and drops it at its end.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/embedded/pgserver"
	"github.com/daybook-dev/daybook/internal/postgres"
)

// New gives a pool on a fresh, migrated database. Its URL is pool.Config().ConnString().
func New(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool, err := postgres.Open(tb.Context(), URL(tb), postgres.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// URL gives the address of a fresh, migrated database, for tests that open it themselves.
func URL(tb testing.TB) string {
	tb.Helper()
	s, err := running()
	if err != nil {
		tb.Fatalf("a Postgres for the tests: %v", err)
	}
	database, err := s.copy(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.drop(context.WithoutCancel(tb.Context()), database); err != nil {
			tb.Error(err)
		}
	})
	return s.url(database)
}

// Dir gives a directory that an embedded Postgres can use: t.TempDir is closed to the user who runs it for root.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := reachableDir()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

func reachableDir() (string, error) {
	dir, err := os.MkdirTemp("", "daybook-test-*")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // that is the point
}

// server is the Postgres of this test process.
type server struct {
	admin    *pgxpool.Pool
	address  url.URL
	held     io.Closer // the janitor's pipe: one that nobody refers to is closed by the garbage collector
	template string    // "" in a Postgres that is not ours: nothing could drop it at the end
}

// running is kept for the life of the process: a Postgres per test would cost each a second.
var running = sync.OnceValues(start)

func start() (*server, error) {
	ctx := context.Background()
	address := os.Getenv("DAYBOOK_TEST_POSTGRES")
	foreign := address != ""
	var held io.Closer
	if !foreign {
		var err error
		if address, held, err = embed(ctx); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	s := &server{address: *u, held: held}
	if s.admin, err = pgxpool.New(ctx, address); err != nil || foreign {
		return s, err
	}
	s.template = fresh("template")
	if _, err := s.admin.Exec(ctx, "create database "+s.template); err != nil {
		return nil, err
	}
	return s, postgres.Migrate(ctx, s.url(s.template))
}

// cleaning ends a Postgres that the kernel did not end, and gives up waiting for it after 5 s.
const cleaning = `read _
pid=$(head -n 1 "$0"/postgres/data-*/postmaster.pid 2>/dev/null)
[ -z "$pid" ] || kill -QUIT "$pid" 2>/dev/null
i=0
while [ -n "$pid" ] && [ $i -lt 100 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.05; i=$((i+1)); done
rm -rf "$0"`

// embed starts an embedded Postgres that ends with this process. A test process has no last moment of its own, so a
// shell beside it waits for the end of a pipe that only it holds, and cleans up.
func embed(ctx context.Context) (address string, held io.Closer, err error) {
	dir, err := reachableDir()
	if err != nil {
		return "", nil, err
	}
	janitor := exec.Command("/bin/sh", "-c", cleaning, dir) //nolint:noctx,gosec // it outlives us
	janitor.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	held, err = janitor.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	if err := janitor.Start(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := pgserver.Start(ctx, pgserver.Config{Dir: filepath.Join(dir, "postgres"), Disposable: true})
	if err != nil {
		return "", nil, errors.Join(err, held.Close(), janitor.Wait())
	}
	return s.URL(), held, nil
}

func (s *server) url(database string) string {
	u := s.address
	u.Path = "/" + database
	return u.String()
}

// fresh names start alike, so that what a killed test left in somebody's own Postgres can be found.
func fresh(kind string) string {
	return "daybook_" + kind + "_" + strings.ReplaceAll(uuid.NewString(), "-", "")
}

func (s *server) copy(ctx context.Context) (string, error) {
	database := fresh("test")
	statement := "create database " + database
	if s.template != "" {
		statement += " template " + s.template + " strategy file_copy" // four times as fast as the default, here
	}
	if _, err := s.admin.Exec(ctx, statement); err != nil {
		return "", fmt.Errorf("database for the test: %w", err)
	}
	if s.template == "" {
		return database, postgres.Migrate(ctx, s.url(database))
	}
	return database, nil
}

func (s *server) drop(ctx context.Context, database string) error {
	if _, err := s.admin.Exec(ctx, "drop database "+database+" with (force)"); err != nil {
		return fmt.Errorf("drop the test's database: %w", err)
	}
	return nil
}
