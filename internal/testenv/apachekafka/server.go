package apachekafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv/ports"
)

// Server is a single-node Kafka, broker and controller in one process.
type Server struct {
	addr    string
	dir     string // "" if not ours to delete
	cmd     *exec.Cmd
	out     *output
	done    chan struct{}
	stop    sync.Once
	release func() // of its ports, if they are its own
}

// Start runs a Kafka until the test ends, or skips the test and says why.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Launch(t.Context(), "")
	if errors.Is(err, errAbsent) {
		t.Skipf("not run against Apache Kafka: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Launch runs a Kafka with its data in dir, or in a directory that Close deletes. ctx bounds the starting.
func Launch(ctx context.Context, dir string) (*Server, error) {
	p, err := found()
	if err != nil {
		return nil, err
	}
	at, release, err := reserve(2)
	if err != nil {
		return nil, err
	}
	s, err := run(ctx, p, dir, node{id: 1, brokers: 1, port: at[0], controller: at[1], cluster: clusterID()})
	if err != nil {
		release()
		return nil, err
	}
	s.release = release
	return s, nil
}

func run(ctx context.Context, p parts, dir string, n node) (_ *Server, err error) {
	s := &Server{out: &output{}, done: make(chan struct{})}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "daybook-kafka-*"); err != nil {
			return nil, err
		}
		s.dir = dir
	}
	if err := s.launch(ctx, p, dir, n); err != nil {
		s.Close()
		return nil, fmt.Errorf("starting Apache Kafka %s: %w\n%s", Version, err, s.out)
	}
	return s, nil
}

// Addr is the broker's address.
func (s *Server) Addr() string { return s.addr }

// Close kills the server: what it held is of no use to anybody.
func (s *Server) Close() {
	s.stop.Do(func() {
		if s.cmd != nil && s.cmd.Process != nil {
			_ = s.cmd.Process.Kill()
			<-s.done
		}
		if s.dir != "" {
			_ = os.RemoveAll(s.dir)
		}
		if s.release != nil {
			s.release()
		}
	})
}

func (s *Server) launch(ctx context.Context, p parts, dir string, n node) error {
	s.addr = fmt.Sprintf("127.0.0.1:%d", n.port)
	file := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte(n.properties(filepath.Join(dir, "log"))), 0o600); err != nil {
		return err
	}
	class := filepath.Join(p.jars, "*")
	if _, err := os.Stat(filepath.Join(dir, "log", "meta.properties")); err != nil {
		//nolint:gosec // java from PATH
		format := exec.CommandContext(ctx, p.java, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", class, "kafka.tools.StorageTool",
			"format", "-t", n.cluster, "-c", file)
		if out, err := format.CombinedOutput(); err != nil {
			return fmt.Errorf("formatting: %w\n%s", err, out)
		}
	}
	s.cmd = exec.Command(p.java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", class, "kafka.Kafka", file) //nolint:gosec,noctx // ends by Close
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel kills the child when the thread that made it ends
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
		}
		close(s.done)
	}()
	if err := <-started; err != nil {
		s.cmd = nil
		return err
	}
	return s.ready(ctx)
}

// ready waits until the broker takes connections.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
		if err == nil {
			_ = conn.Close()
			if bytes.Contains(s.out.Bytes(), []byte("Kafka Server started")) || !s.out.speaks() {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-s.done:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reserve gives n ports, and what releases them.
func reserve(n int) (all []int, release func(), err error) {
	var releases []func()
	release = func() {
		for _, r := range releases {
			r()
		}
	}
	for range n {
		port, r, err := ports.Reserve()
		if err != nil {
			release()
			return nil, nil, err
		}
		all, releases = append(all, port), append(releases, r)
	}
	return all, release, nil
}

// output keeps what the server said, for errors.
type output struct {
	mu sync.Mutex
	b  []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.b) < 1<<20 {
		o.b = append(o.b, p...)
	}
	return len(p), nil
}

func (o *output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.b)
}

// speaks tells whether there is a log at all: without a log4j configuration there may be none.
func (o *output) speaks() bool { return bytes.Contains(o.Bytes(), []byte("INFO")) }

func (o *output) String() string { return string(o.Bytes()) }
