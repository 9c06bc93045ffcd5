package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// Only Linux ends a process with its parent.
func TestDoesNotOutliveItsSupervisor(t *testing.T) {
	t.Parallel()
	dir := filledDir(t)
	c := supervise(t, dir, nil)
	if c.pid == 0 {
		t.Fatal(c.says)
	}
	c.kill(t)
	data, err := filepath.EvalSymlinks(filepath.Join(dir, dataName(mustMajor(t, dir))))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the end of Postgres", func() bool { return !serves(c.pid, data) })
}

// The kernel's death signal goes by thread: Postgres stays when the thread that called Start ends.
func TestOutlivesTheThreadThatStartedIt(t *testing.T) {
	t.Parallel()
	var s *Server
	var tid int
	started := make(chan struct{})
	dir := filledDir(t)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		defer close(started)
		tid = syscall.Gettid()
		s, _ = Start(context.Background(), Config{Dir: dir, Disposable: true})
	}()
	<-started
	if s == nil {
		t.Fatal("not started")
	}
	t.Cleanup(func() { _ = s.Close() })
	pid := s.PID()
	if tid != os.Getpid() { // the main thread is parked instead
		until(t, "the end of the thread", func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
			return errors.Is(err, os.ErrNotExist)
		})
	}
	if !answers(s.URL()) || s.PID() != pid {
		t.Error("Postgres ended with the thread")
	}
}
