package postgrestest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

const asChild = "POSTGRESTEST_CHILD"

func TestEachTestHasItsOwnDatabase(t *testing.T) { //nolint:tparallel // the subtest's end is waited for
	t.Parallel()
	a, b := postgrestest.New(t), postgrestest.New(t)
	if _, err := a.Exec(t.Context(), "insert into daybook.fingerprint (name, value) values ('x', 'y')"); err != nil {
		t.Fatal(err) // so it is migrated
	}
	var n int
	if err := b.QueryRow(t.Context(), "select count(*) from daybook.fingerprint").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows of another test: %v", n, err)
	}
	var url string
	t.Run("ends", func(t *testing.T) { // its end is waited for
		url = postgrestest.URL(t)
	})
	if conn, err := pgx.Connect(t.Context(), url); err == nil || !strings.Contains(err.Error(), "3D000") && !strings.Contains(err.Error(), "28P01") {
		t.Errorf("the database of a test that has ended: %v, %v", conn, err)
	}
}

// However the test process ends, its Postgres ends with it and nothing is left on disk.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	if os.Getenv("DAYBOOK_TEST_POSTGRES") != "" {
		t.Skip("SKIP TestNothingIsLeft: DAYBOOK_TEST_POSTGRES names a Postgres that is not ours")
	}
	for _, kill := range []bool{true, false} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAsChild$", "-test.v")
		cmd.Env = append(os.Environ(), asChild+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var data string
		var pid int
		for lines := bufio.NewScanner(out); data == "" && lines.Scan(); {
			_, _ = fmt.Sscanf(lines.Text(), "runs in %s as %d", &data, &pid)
		}
		if data == "" {
			t.Fatal("the child said nothing")
		}
		if kill {
			err = cmd.Process.Kill()
		} else {
			err = in.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		deadline, tick := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
		for gone := false; !gone; {
			select {
			case <-tick.C:
				_, err := os.Stat(data)
				gone = errors.Is(err, fs.ErrNotExist) && syscall.Kill(pid, 0) != nil
			case <-deadline:
				t.Fatalf("killed %v: %s or process %d is still there", kill, data, pid)
			}
		}
		tick.Stop()
	}
}

// TestAsChild runs in a process of its own, for TestNothingIsLeft.
func TestAsChild(t *testing.T) {
	if os.Getenv(asChild) == "" {
		return
	}
	var data string
	var pid int
	pool := postgrestest.New(t)
	superuser, err := pgx.Connect(t.Context(), postgrestest.Superuser(t, pool))
	if err != nil {
		t.Fatal(err)
	}
	err = superuser.QueryRow(t.Context(), "select current_setting('data_directory'), split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int").Scan(&data, &pid)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(os.Stdout, "runs in %s as %d\n", data, pid)
	_, _ = os.Stdin.Read(make([]byte, 1))
}
