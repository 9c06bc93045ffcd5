package pgserver

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a running postmaster: our child, or one that was found. Initdb is run as one too.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed
	log  *logLines     // nil for one that was found
}

// spawn starts a program of Postgres. said, which may be nil, is called with each line of its log. The kernel's death signal goes by the thread that started the child, not by the process,
// so that thread is held until the child has ended.
func spawn(cmd *exec.Cmd, logger *slog.Logger, said func(line string)) (*process, error) {
	p := &process{done: make(chan struct{}), log: &logLines{logger: logger, said: said}}
	cmd.Stderr = p.log
	cmd.Stdout = p.log
	cmd.WaitDelay = 5 * time.Second // backends that outlive their postmaster hold the pipe
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, <-started
}

// follow watches a postmaster that is not our child.
func follow(pm postmaster, data string) *process {
	p := &process{pid: pm.pid, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for serves(pm.pid, data) {
			<-tick.C
		}
		p.err = errors.New("ended")
	}()
	return p
}

// stop asks for a fast shutdown, which is a clean one, and insists after patience.
func (p *process) stop(patience time.Duration) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = syscall.Kill(p.pid, sig)
		select {
		case <-p.done:
			return
		case <-time.After(patience):
		}
	}
}

// logLines passes the log on, line by line, and remembers the last lines for the error of a failed start.
type logLines struct {
	logger *slog.Logger
	said   func(line string)

	mu     sync.Mutex
	part   string
	last   []string
	loud   string // the last warning, which is not repeated for a while
	loudAt time.Time
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(l.part+string(b), "\n")
	l.part = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		l.last = append(l.last[max(0, len(l.last)-19):], line)
		l.logger.Log(context.Background(), l.level(line), "postgres: "+line)
		if l.said != nil {
			l.said(line)
		}
	}
	return len(b), nil
}

func (l *logLines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(append(l.last, l.part), "\n")
}

// level: what a client did wrong is the client's to report.
func (l *logLines) level(line string) slog.Level {
	if !strings.HasPrefix(line, "PANIC:") && !strings.HasPrefix(line, "WARNING:") {
		return slog.LevelDebug
	}
	if line == l.loud && time.Since(l.loudAt) < time.Minute {
		return slog.LevelDebug
	}
	l.loud, l.loudAt = line, time.Now()
	return slog.LevelWarn
}
