package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// child is the program itself, with some roles, on a new directory and free ports.
type child struct {
	cmd    *exec.Cmd
	dir    string
	said   *tail
	exited chan struct{}

	API        string `json:"api"`
	Admin      string `json:"admin"`
	EventStore string `json:"eventstore"`
	Postgres   string `json:"postgres"`
}

const (
	readyWithin = 2 * time.Minute
	stopWithin  = 30 * time.Second
)

// start runs roles as a process of their own and waits until they are ready.
func (b *bench) start(ctx context.Context, name, roles string) (*child, error) {
	c := &child{dir: filepath.Join(b.dir, name), said: &tail{}, exited: make(chan struct{})}
	args := []string{"serve", "--data-dir", c.dir, "--roles", roles, "--log-level", "warn", "--log-format", "json", "--pprof"}
	for _, listen := range []string{"listen", "admin-listen", "eventstore-listen", "kafka-listen", "postgres-listen", "simulator-listen"} {
		args = append(args, "--"+listen, "127.0.0.1:0")
	}
	c.cmd = exec.Command(b.cfg.Binary, args...) //nolint:gosec,noctx // this very program; stop ends it
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.SysProcAttr = c.said, c.said, dies()
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel ends the child when the thread that made it ends
		defer runtime.UnlockOSThread()
		defer close(c.exited)
		err := c.cmd.Start()
		if started <- err; err == nil {
			_ = c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := c.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", name, err, c.said), c.stop())
	}
	return c, nil
}

// ready waits for run.json, and then for /readyz.
func (c *child) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		if b, err := os.ReadFile(filepath.Join(c.dir, "run.json")); err == nil && json.Unmarshal(b, c) == nil && c.Admin != "" {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Admin+"/readyz", nil)
			if err != nil {
				return err
			}
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return nil
				}
			}
		}
		select {
		case <-c.exited:
			return errors.New("it ended")
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *child) process() process { return process{pid: c.cmd.Process.Pid} }

func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
		return nil
	case <-time.After(stopWithin):
	}
	_ = c.cmd.Process.Kill()
	<-c.exited
	return errors.New("a process under test did not stop, and was killed")
}

// tail keeps the end of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	t.b = bytes.Clone(t.b[max(0, len(t.b)-tailBytes):])
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
