package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv/output"
)

// Options of a process. The zero value runs every role on a new data directory.
type Options struct {
	DataDir   string
	Program   string   // of another version; empty: Binary
	Roles     string   // comma-separated; empty: all
	Servers   *Servers // its event store, Kafka and Postgres; nil: embedded ones at their usual ports
	Args      []string // further flags of serve
	Env       []string // further environment
	Failpoint string   // "name", "name:n" or "name:n:interrupt"
	NotReady  bool     // do not wait until it is ready
}

// Process is a running `daybook serve`.
type Process struct {
	t       testing.TB
	DataDir string
	API     string // base URL
	Admin   string

	cmd    *exec.Cmd
	out    *output.Buffer
	exited chan struct{}
	state  error
}

// readyWithin and stoppedWithin find a process that hangs; one that fails ends by itself. On a busy machine Postgres alone has taken most of a
// minute to start.
const (
	readyWithin   = 5 * time.Minute
	stoppedWithin = 2 * time.Minute
)

// Start runs the program and waits until it is ready. It is killed at the test's end.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	if o.DataDir == "" {
		o.DataDir = DataDir(t)
	}
	p := &Process{t: t, DataDir: o.DataDir, out: &output.Buffer{}, exited: make(chan struct{})}
	args := []string{"serve", "--data-dir", o.DataDir, "--log-format", "json", "--log-level", "info"}
	if o.Roles != "" {
		args = append(args, "--roles", o.Roles)
	}
	if o.Servers != nil {
		args = append(args, o.Servers.Args()...)
	}
	listen, admin := Address(t), Address(t)
	if !slices.Contains(o.Args, "--listen") {
		args = append(args, "--listen", listen)
	}
	args = append(append(args, "--admin-listen", admin), o.Args...)
	p.API, p.Admin = "http://"+listen, "http://"+admin
	if o.Program == "" {
		o.Program = Binary(t)
	}
	p.cmd = exec.Command(o.Program, args...) //nolint:gosec,noctx // our own; it is killed at the end
	p.cmd.Env = append(os.Environ(), "DAYBOOK_FAILPOINT="+o.Failpoint)
	p.cmd.Env = append(p.cmd.Env, o.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.state = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("what %s said:\n%s", strings.Join(args, " "), p.out.Tail(120))
		}
	})
	if !o.NotReady {
		p.Ready()
		if o.Servers != nil {
			p.embedsNo(o.Servers)
		}
	}
	return p
}

// embedsNo fails the test if the process runs a server that it has an address of.
func (p *Process) embedsNo(s *Servers) {
	p.t.Helper()
	var runs struct{ EventStore, Kafka, Postgres string }
	p.Addresses(&runs)
	for _, a := range [][2]string{{s.EventStore, runs.EventStore}, {s.Kafka, runs.Kafka}, {s.Postgres, runs.Postgres}} {
		if a[0] != "" && a[1] != "" && a[0] != a[1] {
			p.t.Fatalf("%s runs although %s was given", a[1], a[0])
		}
	}
}

// Ready waits until /readyz says so.
func (p *Process) Ready() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+"/readyz", nil)
		if err != nil {
			p.t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-p.exited:
			p.t.Fatalf("the process ended before it was ready: %v\n%s", p.state, p.out.Tail(60))
		case <-ctx.Done():
			p.t.Fatalf("not ready within %s\n%s", readyWithin, p.out.Tail(60))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the process as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.exited
}

// Stop asks the process to end, and fails the test if it does not end cleanly.
func (p *Process) Stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		if p.state != nil {
			p.t.Errorf("stopped with %v\n%s", p.state, p.out.Tail(60))
		}
	case <-time.After(stoppedWithin):
		p.t.Errorf("did not stop\n%s", p.out.Tail(60))
		p.Kill()
	}
}

// Exited is closed when the process has ended, by itself or not.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Killed tells whether it ended by SIGKILL, as at a failpoint.
func (p *Process) Killed() bool {
	select {
	case <-p.exited:
	default:
		return false
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Signal sends the process a signal.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// EndedBy waits for the end of the process, and gives the signal that ended it; 0: it ended by itself.
func (p *Process) EndedBy() syscall.Signal {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(stoppedWithin):
		p.t.Errorf("did not end\n%s", p.out.Tail(60))
		p.Kill()
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal()
	}
	return 0
}

// PID is the process' id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what the process has said so far.
func (p *Process) Output() string { return p.out.String() }

// Addresses reads run.json into v.
func (p *Process) Addresses(v any) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.DataDir, "run.json"))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// Run runs another command of the program to its end.
func Run(t testing.TB, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return RunWithin(t, 10*time.Minute, args...)
}

// RunWithin is Run for a command that may take longer, or must not take as long.
func RunWithin(t testing.TB, limit time.Duration, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return runProgram(Binary(t), limit, args...)
}

// RunOther is Run with a program of another version.
func RunOther(t testing.TB, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return runProgram(program, 10*time.Minute, args...)
}

func runProgram(program string, limit time.Duration, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if err != nil {
		err = fmt.Errorf("daybook %s: %w", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), err
}

// Begin starts another command of the program without waiting for its end. It is killed at the test's end.
func Begin(t testing.TB, args ...string) *Process {
	t.Helper()
	return BeginAt(t, "", args...)
}

// BeginAt is Begin, with a failpoint.
func BeginAt(t testing.TB, failpoint string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, out: &output.Buffer{}, exited: make(chan struct{})}
	p.cmd = exec.Command(Binary(t), args...) //nolint:gosec,noctx // our own; it is killed at the end
	p.cmd.Env = append(os.Environ(), "DAYBOOK_FAILPOINT="+failpoint)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.state = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.Kill)
	return p
}

// ExitCode is that of a process that has exited; -1: a signal ended it.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }
