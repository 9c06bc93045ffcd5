package pgserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// kill -9 of Postgres: it comes back where it was, with all that was committed.
func TestComesBack(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Dir: filledDir(t)})
	addr := s.Addr()
	query[int](t, s.URL(), "create table kept (n int)")
	for i := range 4 {
		query[int](t, s.URL(), "insert into kept values (1)")
		if i%2 == 1 { // a backend that does not look up while it works keeps the shared memory for a while
			busy(t, s.URL())
		}
		before := s.PID()
		kill9(t, before)
		begun := time.Now()
		until(t, "another Postgres", func() bool {
			return s.PID() != before && answers(s.URL())
		})
		t.Logf("back after %v", time.Since(begun).Round(time.Millisecond))
		if s.Addr() != addr {
			t.Fatalf("moved to %s", s.Addr())
		}
		if n := query[int](t, s.URL(), "select count(*) from kept"); n != i+1 {
			t.Errorf("%d rows, want %d", n, i+1)
		}
	}
	select {
	case <-s.Done():
		t.Errorf("ended: %v", s.Err())
	default:
	}
}

// busy leaves a backend behind that computes for about a second.
func busy(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	pid := conn.PgConn().PID()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = conn.Exec(context.WithoutCancel(t.Context()), "select count(sqrt(n)) from generate_series(1, 4000000) n")
		_ = conn.Close(context.Background())
	}()
	t.Cleanup(func() { <-done })
	until(t, "a busy backend", func() bool {
		return query[int](t, url, fmt.Sprintf("select count(*) from pg_stat_activity where pid = %d and state = 'active'", pid)) == 1
	})
}

func answers(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// A Postgres that cannot come back is said to be gone.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	dir := filledDir(t)
	s, err := Start(t.Context(), Config{Dir: dir, Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.data, "global"), filepath.Join(s.data, "gone")); err != nil {
		t.Fatal(err)
	}
	kill9(t, s.PID())
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("still tries")
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "died") {
		t.Errorf("error: %v", err)
	}
	if err := s.Close(); err == nil {
		t.Error("Close says nothing of it")
	}
}

// kill -9 of the process that looks after it, of Postgres, and of both.
func TestKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	dir := filledDir(t)
	for i, killed := range []string{"supervisor", "both", "Postgres first", "supervisor"} {
		c := supervise(t, dir, nil)
		if c.pid == 0 {
			t.Fatal(c.says)
		}
		if i == 0 {
			query[int](t, c.url, "create table kept (n int)")
		}
		query[int](t, c.url, "insert into kept values (1)")
		switch killed {
		case "both":
			c.kill(t)
			_ = syscall.Kill(c.pid, syscall.SIGKILL) // if it still is
		case "Postgres first":
			kill9(t, c.pid)
			c.kill(t)
		default:
			c.kill(t)
		}
		begun := time.Now()
		s, err := Start(t.Context(), Config{Dir: dir, Disposable: true})
		if err != nil {
			t.Fatalf("%s killed: %v", killed, err)
		}
		t.Logf("%s killed: up again after %v", killed, time.Since(begun).Round(time.Millisecond))
		if n := query[int](t, s.URL(), "select count(*) from kept"); n != i+1 {
			t.Errorf("%s killed: %d rows, want %d", killed, n, i+1)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A Postgres that runs on our data without a parent is taken over, and looked after.
func TestTakesOver(t *testing.T) {
	t.Parallel()
	dir := filledDir(t)
	s := start(t, Config{Dir: dir})
	query[int](t, s.URL(), "create table kept (n int)")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := byHand(t, s)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	begun := time.Now()
	again := start(t, Config{Dir: dir, Listen: "127.0.0.1:0"}) // while it may still be starting
	t.Logf("took over after %v", time.Since(begun).Round(time.Millisecond))
	if again.PID() != cmd.Process.Pid || again.Addr() != s.Addr() {
		t.Fatalf("runs %d at %s, want %d at %s", again.PID(), again.Addr(), cmd.Process.Pid, s.Addr())
	}
	query[int](t, again.URL(), "insert into kept values (1)")
	if _, err := Start(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	kill9(t, cmd.Process.Pid)
	<-ended
	until(t, "another Postgres", func() bool { return again.PID() != cmd.Process.Pid && answers(again.URL()) })
	if again.Addr() != s.Addr() {
		t.Errorf("moved to %s", again.Addr())
	}
	if n := query[int](t, again.URL(), "select count(*) from kept"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// The one taken over ends with Close too.
func TestClosesWhatItTookOver(t *testing.T) {
	t.Parallel()
	s := ran(t)
	cmd := byHand(t, s)
	again := start(t, Config{Dir: s.cfg.Dir})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if again.PID() != cmd.Process.Pid {
		t.Errorf("runs %d, want %d", again.PID(), cmd.Process.Pid)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("not a clean end: %v", err)
	}
}

// A pid file that a starting server has made and not yet written is its own: taken for a power cut's and removed, the server
// would run on, unknown to all, and no other could start.
func TestPidFileThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	s := ran(t)
	cmd := byHand(t, s)
	until(t, "Postgres", func() bool { pm, err := readPostmaster(s.data); return err == nil && pm.status == "ready" })
	content, err := os.ReadFile(pidFile(s.data))
	if err == nil {
		err = os.Truncate(pidFile(s.data), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	read, written := make(chan struct{}), make(chan error)
	seen := sync.OnceFunc(func() { close(read) })
	go func() {
		<-read
		f, err := os.OpenFile(pidFile(s.data), os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(content)
			err = errors.Join(err, f.Close())
		}
		written <- err
	}()
	again, err := Start(t.Context(), Config{Dir: s.cfg.Dir, Disposable: true, Logger: slog.New(slog.NewTextHandler(writer(func(line []byte) {
		if strings.Contains(string(line), beingWritten) {
			seen()
		}
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	seen()
	if err = errors.Join(err, <-written); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if again.PID() != cmd.Process.Pid {
		t.Errorf("runs %d, want %d", again.PID(), cmd.Process.Pid)
	}
	if err := errors.Join(again.Close(), <-ended); err != nil {
		t.Errorf("not a clean end: %v", err)
	}
}

// writer is called with each line of a log.
type writer func(line []byte)

func (w writer) Write(line []byte) (int, error) {
	w(line)
	return len(line), nil
}

// ran gives a server that was closed, for its directory.
func ran(t *testing.T) *Server {
	t.Helper()
	s := start(t, Config{Dir: filledDir(t)})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// byHand starts Postgres on the data of a server that was closed, without anything that ties it to us. It may still be starting.
func byHand(t *testing.T, s *Server) *exec.Cmd {
	t.Helper()
	_, port, _ := strings.Cut(s.Addr(), ":")
	args := []string{"-D", s.data}
	for _, setting := range s.cfg.settings("127.0.0.1", port) {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(s.bin.tool("postgres"), args...)
	cmd.Dir, cmd.Env = s.data, environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.acct.credential()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	until(t, "its pid file", func() bool { pm, err := readPostmaster(s.data); return err == nil && pm.pid == cmd.Process.Pid })
	return cmd
}

// A pid file whose process is somebody else's does not keep Postgres from starting.
func TestPidFileOfNoProcess(t *testing.T) {
	t.Parallel()
	dir := filledDir(t)
	acct, err := whoRuns()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command("sleep", "60") // of the user who runs Postgres, as any process in its container may be
	other.SysProcAttr = &syscall.SysProcAttr{Credential: acct.credential()}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	path := pidFile(filepath.Join(dir, dataName(mustMajor(t, dir))))
	for name, content := range map[string]string{
		"another process": fmt.Sprintf("%d\n/elsewhere\n1700000000\n5432\n\n127.0.0.1\n  1234567         1\nready   \n", other.Process.Pid),
		"this process":    fmt.Sprintf("%d\n/elsewhere\n1700000000\n5432\n\n127.0.0.1\n  1234567         1\nready   \n", os.Getpid()),
		"no process":      "3999999\n/elsewhere\n1700000000\n5432\n\n127.0.0.1\n  1234567         1\nready   \n",
		"empty":           "",
		"torn":            "12",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := acct.give(path); err != nil {
			t.Fatal(err)
		}
		s, err := Start(t.Context(), Config{Dir: dir, Disposable: true})
		if err != nil { // a clash that does not pass ends in one
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func mustMajor(t *testing.T, dir string) int {
	t.Helper()
	major, err := dataMajor(dir)
	if err != nil || major == 0 {
		t.Fatalf("data of version %d: %v", major, err)
	}
	return major
}
