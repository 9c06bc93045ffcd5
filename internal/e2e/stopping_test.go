package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// A process that gets the signal to stop while it waits for a server ends at once, and not in failure.
func TestStopsWhileItStarts(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	p := testenv.Start(t, testenv.Options{Roles: "relay", NotReady: true, Args: []string{
		"--eventstore", "esdb://" + silent.Addr().String() + "?tls=false", "--kafka", "127.0.0.1:1", "--postgres", "postgres://127.0.0.1:1/none",
	}})
	waiting, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiting.Close() }()
	p.Stop()
}

// A process that still waits for a request when a second signal comes ends by that signal.
func TestASecondSignalEndsASlowStop(t *testing.T) {
	t.Parallel()
	p := testenv.Start(t, testenv.Options{Args: testenv.AnyPorts()})
	for _, c := range []struct{ first, second syscall.Signal }{{syscall.SIGINT, syscall.SIGINT}, {syscall.SIGTERM, syscall.SIGINT}} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.API, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "POST /v1/products HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nIdempotency-Key: k\r\n"+
			"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n", strings.TrimPrefix(p.API, "http://"))
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("%q %v", line, err)
		}
		p.Signal(c.first)
		if _, ok := p.Says(0, time.Minute, func(line string) bool { return strings.Contains(line, "stopping: requests") }); !ok {
			t.Fatal("it does not say that it stops")
		}
		p.Signal(c.second)
		if by := p.EndedBy(); by != c.second {
			t.Errorf("%v, then %v: ended by %v", c.first, c.second, by)
		}
		p = testenv.Start(t, testenv.Options{DataDir: p.DataDir, Args: testenv.AnyPorts()})
	}
	p.Stop()
}

// A server whose log and terminal are gone goes on, and ends as it should.
func TestServesWithoutATerminal(t *testing.T) {
	t.Parallel()
	gone, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	admin := testenv.Address(t)
	cmd := exec.Command(testenv.Binary(t), append([]string{ //nolint:gosec,noctx // our own; it is killed at the end
		"serve", "--data-dir", testenv.DataDir(t), "--log-level", "debug", "--listen", testenv.Address(t), "--admin-listen", admin,
	}, testenv.AnyPorts()...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for ready := false; !ready; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			ready = res.StatusCode == http.StatusOK
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended before it was ready: %v", err)
		case <-ctx.Done():
			t.Fatal("it was not ready")
		case <-time.After(20 * time.Millisecond):
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("stopped with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it did not stop")
	}
}
