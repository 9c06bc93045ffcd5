package pgserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// childOf names the directory in a child process that is a supervisor and nothing else.
const childOf = "PGSERVER_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childOf); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(func() int {
		dir, err := reachable("")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		template = filepath.Join(dir, "template")
		if err := makeTemplate(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// template is a directory with data in it, to be copied: an initdb per test takes too long.
var template string

func makeTemplate() error {
	s, err := Start(context.Background(), Config{Dir: template, Disposable: true})
	if err != nil {
		return err
	}
	return s.Close()
}

// child serves until its input ends. It says where, or what is wrong.
func child(dir string) int {
	s, err := Start(context.Background(), Config{Dir: dir, Disposable: true, Cache: os.Getenv("PGSERVER_TEST_CACHE")})
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "error", strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	_, _ = fmt.Fprintln(os.Stdout, "ready", s.PID(), s.URL(), s.Version())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "error", err)
		return 1
	}
	_, _ = fmt.Fprintln(os.Stdout, "closed")
	return 0
}

// supervisor is a child process.
type supervisor struct {
	cmd   *exec.Cmd
	in    io.Closer
	out   *bufio.Scanner
	says  string // its first line
	pid   int    // of Postgres
	url   string
	ended bool
}

// supervise starts a child on dir; change may alter how it is started.
func supervise(t *testing.T, dir string, change func(*exec.Cmd)) *supervisor {
	t.Helper()
	c := &supervisor{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childOf+"="+dir)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(c.cmd)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewScanner(out)
	t.Cleanup(func() {
		if !c.ended {
			_ = c.in.Close()
			_ = c.cmd.Wait()
		}
	})
	c.out.Scan()
	c.says = c.out.Text()
	if f := strings.Fields(c.says); len(f) > 2 && f[0] == "ready" {
		c.pid, _ = strconv.Atoi(f[1])
		c.url = f[2]
	}
	return c
}

func (c *supervisor) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait()
	c.ended = true
}

// reachable makes a directory that user postgres can use: t.TempDir is closed to others.
func reachable(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "pgserver-test-*")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func emptyDir(t *testing.T) string {
	t.Helper()
	dir, err := reachable("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "postgres")
}

// filledDir has data, and no server yet.
func filledDir(t *testing.T) string {
	t.Helper()
	dir := emptyDir(t)
	if out, err := exec.Command("cp", "-a", template, dir).CombinedOutput(); err != nil {
		t.Fatalf("copy the template: %v: %s", err, out)
	}
	return dir
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Disposable = true
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func query[T any](t *testing.T, url, sql string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return v
}

func kill9(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// until waits for something that happens in another process.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// executable makes a file that can be run. A child writes it: while this process had it open, each process that another test is just starting would
// have it open too, and a file that is open for writing cannot be run.
func executable(t *testing.T, path string, content io.Reader) {
	t.Helper()
	write := exec.CommandContext(t.Context(), "sh", "-c", `cat >"$1" && chmod 755 "$1"`, "sh", path)
	write.Stdin = content
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("write %s: %v, %s", path, err, out)
	}
}
