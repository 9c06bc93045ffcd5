package pgserver

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
)

// exec gives the error of a statement in a session of its own.
func exec1(t *testing.T, url string, statements ...string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			return err
		}
	}
	return nil
}

func fullServer(t *testing.T) (*Server, string) {
	t.Helper()
	disk := diskspacetest.Mount(t, 300<<20)
	s := start(t, Config{Dir: disk + "/postgres", MinFree: 32 << 20, Reserve: 64 << 20})
	if err := exec1(t, s.URL(), "create table kept (n int, pad text)", "insert into kept values (1, '')"); err != nil {
		t.Fatal(err)
	}
	if err := s.Health(); err != nil {
		t.Fatalf("a disk with space: %v", err)
	}
	return s, disk
}

func rows(t *testing.T, s *Server) int {
	t.Helper()
	return query[int](t, s.URL(), "select count(*) from kept")
}

// Space that becomes low makes Postgres read-only, before it is too late; space that comes back ends that.
func TestLowDiskIsReadOnlyUntilThereIsSpace(t *testing.T) {
	t.Parallel()
	s, disk := fullServer(t)
	for range 2 {
		before, pid := rows(t, s), s.PID()
		diskspacetest.Fill(t, disk, 20<<20)
		until(t, "read-only", func() bool {
			pg, refused := errors.AsType[*pgconn.PgError](exec1(t, s.URL(), "insert into kept values (2, '')"))
			if !refused {
				before++
			}
			return refused && pg.Code == "25006"
		})
		if err := s.Health(); err == nil || !strings.Contains(err.Error(), "disk") {
			t.Errorf("health: %v", err)
		}
		if n := rows(t, s); n != before {
			t.Errorf("%d rows, want %d", n, before)
		}
		diskspacetest.Free(t, disk)
		until(t, "taking writes again", func() bool { return exec1(t, s.URL(), "insert into kept values (3, '')") == nil })
		until(t, "healthy", func() bool { return s.Health() == nil })
		if s.PID() != pid {
			t.Error("Postgres was started again")
		}
	}
}

// A disk without a byte left ends Postgres. The reserve lets it recover and answer queries; with space all is as before.
func TestFullDiskIsSurvivedOnTheReserve(t *testing.T) {
	t.Parallel()
	s, disk := fullServer(t)
	for range 2 {
		before := rows(t, s)
		diskspacetest.Fill(t, disk, 0)
		until(t, "Postgres to have no space for its log", func() bool {
			_ = exec1(t, s.SuperuserURL(), "set default_transaction_read_only = off", "select txid_current()", "select pg_switch_wal()", "checkpoint")
			return s.Health() != nil && strings.Contains(s.Health().Error(), "96 MiB needed")
		})
		if err := s.Health(); err == nil {
			t.Error("healthy on a full disk")
		}
		until(t, "queries to be answered although the disk is full", func() bool { return answers(s.URL()) })
		if n := rows(t, s); n != before {
			t.Errorf("%d rows, want %d", n, before)
		}
		diskspacetest.Free(t, disk)
		until(t, "healthy", func() bool { return s.Health() == nil })
		until(t, "taking writes again", func() bool { return exec1(t, s.URL(), "insert into kept values (3, '')") == nil })
		if n := rows(t, s); n != before+1 {
			t.Errorf("%d rows, want %d", n, before+1)
		}
	}
	select {
	case <-s.Done():
		t.Errorf("ended: %v", s.Err())
	default:
	}
}
