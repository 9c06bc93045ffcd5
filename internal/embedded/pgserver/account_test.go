package pgserver

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// As root, Postgres runs as another user; a directory that this user cannot enter is named.
func TestAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIP TestAsRoot: not root")
	}
	dir := filledDir(t)
	s := start(t, Config{Dir: dir})
	info, err := os.Stat(s.data)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid == 0 || uid != s.acct.uid {
		t.Errorf("the data belongs to %d", uid)
	}
	if uid := processUID(t, s.PID()); uid != s.acct.uid {
		t.Errorf("Postgres runs as %d", uid)
	}

	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Config{Dir: filepath.Join(closed, "a", "postgres")})
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+closed) || !strings.Contains(err.Error(), s.acct.name) {
		t.Errorf("a closed directory: %v", err)
	}
	_, err = Start(t.Context(), Config{Dir: filledDir(t), Binaries: closedBinaries(t, s.bin.dir)})
	if err == nil || !strings.Contains(err.Error(), "cannot enter") {
		t.Errorf("closed binaries: %v", err)
	}
}

// Data that an ordinary user made is run as that user when root starts.
func TestAsRootOnSomebodysData(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIP TestAsRootOnSomebodysData: not root")
	}
	dir := filledDir(t)
	const somebody = 12345
	err := filepath.WalkDir(filepath.Join(dir, dataName(mustMajor(t, dir))), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, somebody, somebody))
	})
	if err != nil {
		t.Fatal(err)
	}
	if uid := processUID(t, start(t, Config{Dir: dir}).PID()); uid != somebody {
		t.Errorf("Postgres runs as %d", uid)
	}
}

func processUID(t *testing.T, pid int) uint32 {
	t.Helper()
	info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

// closedBinaries leads to real ones through a directory of ours.
func closedBinaries(t *testing.T, dir string) string {
	t.Helper()
	closed := t.TempDir()
	for _, tool := range []string{"initdb", "postgres"} {
		executable(t, filepath.Join(closed, tool), strings.NewReader("#!/bin/sh\nexec "+filepath.Join(dir, tool)+` "$@"`+"\n"))
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	return closed
}

// A user other than root runs it himself.
func TestAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	acct, err := whoRuns()
	if err != nil {
		t.Fatal(err)
	}
	dir := emptyDir(t)
	if err := acct.give(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	// The test's own program lies where only we can reach it.
	program := filepath.Join(filepath.Dir(dir), "program")
	own, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close() //nolint:errcheck // it is read only
	executable(t, program, own)
	c := supervise(t, dir, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = program, []string{program}
		cmd.Dir = filepath.Dir(dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: acct.credential()}
		cmd.Env = append(cmd.Env, "HOME="+filepath.Dir(dir), "PGSERVER_TEST_CACHE="+filepath.Join(filepath.Dir(dir), "cache"))
	})
	if c.pid == 0 {
		t.Fatal(c.says)
	}
	if one := query[int](t, c.url, "select 1"); one != 1 {
		t.Error("no answer")
	}
	if acct.other() {
		if uid := processUID(t, c.cmd.Process.Pid); uid != acct.uid {
			t.Errorf("the supervisor runs as %d: nothing was tested", uid)
		}
	}
	_ = c.in.Close()
	if c.out.Scan(); c.out.Text() != "closed" {
		t.Errorf("said %q", c.out.Text())
	}
}
