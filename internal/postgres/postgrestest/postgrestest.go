// Package postgrestest gives tests a database of their own on a real Postgres.
//
// One embedded Postgres runs per test process, from the first test that asks until the process ends, however it ends;
// DAYBOOK_TEST_POSTGRES, the URL of a superuser, names another to use. Every test gets a fresh copy of a migrated
// template and drops it at its end. Like the program it connects as the role that owns the database, which is no superuser.
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
	database := fresh("test")
	err = s.make(tb.Context(), database)
	tb.Cleanup(func() {
		if err := s.drop(context.WithoutCancel(tb.Context()), database); err != nil {
			tb.Error(err)
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s.url(database)
}

// Superuser gives the address at which a superuser finds the database of a pool, for what no part of the program may.
func Superuser(tb testing.TB, pool *pgxpool.Pool) string {
	tb.Helper()
	s, err := running()
	if err != nil {
		tb.Fatalf("a Postgres for the tests: %v", err)
	}
	at, err := url.Parse(s.admin.Config().ConnString())
	if err != nil {
		tb.Fatal(err)
	}
	at.Path = "/" + pool.Config().ConnConfig.Database
	return at.String()
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
	admin    *pgxpool.Pool // as superuser
	address  url.URL       // as the owner, who is of the same name as the database in a Postgres that is not ours
	held     io.Closer     // the janitor's pipe: without a reference it would be closed by the garbage collector
	template string        // "" in a Postgres that is not ours: nothing could drop it at the end
}

// running is kept for the life of the process: a Postgres per test would cost each a second.
var running = sync.OnceValues(start)

func start() (*server, error) {
	ctx := context.Background()
	superuser := os.Getenv("DAYBOOK_TEST_POSTGRES")
	owner, foreign := superuser, superuser != ""
	var held io.Closer
	if !foreign {
		var err error
		if superuser, owner, held, err = embed(ctx); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(owner)
	if err != nil {
		return nil, err
	}
	s := &server{address: *u, held: held}
	if s.admin, err = pgxpool.New(ctx, superuser); err != nil || foreign {
		return s, err
	}
	s.template = fresh("template")
	if _, err := s.admin.Exec(ctx, "create database "+s.template+" owner "+s.address.User.Username()); err != nil {
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
func embed(ctx context.Context) (superuser, owner string, held io.Closer, err error) {
	dir, err := reachableDir()
	if err != nil {
		return "", "", nil, err
	}
	janitor := exec.Command("/bin/sh", "-c", cleaning, dir) //nolint:noctx,gosec // it outlives us
	janitor.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	held, err = janitor.StdinPipe()
	if err != nil {
		return "", "", nil, err
	}
	if err := janitor.Start(); err != nil {
		return "", "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := pgserver.Start(ctx, pgserver.Config{
		Dir: filepath.Join(dir, "postgres"), Disposable: true, Logins: map[string]string{postgres.Reader: filepath.Join(dir, "reader.password")},
	})
	if err != nil {
		return "", "", nil, errors.Join(err, held.Close(), janitor.Wait())
	}
	return s.SuperuserURL(), s.URL(), held, nil
}

func (s *server) url(database string) string {
	u := s.address
	u.Path = "/" + database
	if s.template == "" {
		u.User = url.UserPassword(database, database)
	}
	return u.String()
}

// fresh names start alike, so that what a killed test left in somebody's own Postgres can be found.
func fresh(kind string) string {
	return "daybook_" + kind + "_" + strings.ReplaceAll(uuid.NewString(), "-", "")
}

func (s *server) make(ctx context.Context, database string) error {
	statements := []string{
		"create database " + database + " owner " + s.address.User.Username() + " template " + s.template + " strategy file_copy", // four times as fast as the default, here
	}
	if s.template == "" {
		statements = []string{"create role " + database + " login password '" + database + "'", "create database " + database + " owner " + database}
	}
	for _, sql := range statements {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("database for the test: %w", err)
		}
	}
	if s.template == "" {
		return postgres.Migrate(ctx, s.url(database))
	}
	return nil
}

func (s *server) drop(ctx context.Context, database string) error {
	for _, sql := range []string{"drop database if exists " + database + " with (force)", "drop role if exists " + database} {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("drop the test's database: %w", err)
		}
	}
	return nil
}
