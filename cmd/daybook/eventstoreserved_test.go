package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/internal/testenv/output"
)

// served is a server process of the program.
type served struct {
	cmd     *exec.Cmd
	said    map[string]string // the banner's lines by their first word
	errs    *output.Buffer
	stopped bool
}

// serveStore runs daybook eventstore serve and waits until it is ready.
func serveStore(t *testing.T, dir string, args ...string) *served {
	t.Helper()
	all := append([]string{"eventstore", "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)
	s := &served{cmd: exec.Command("daybook", all...), said: map[string]string{}, errs: &output.Buffer{}}
	s.cmd.Stderr = s.errs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		first, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		s.said[first] = strings.TrimSpace(rest)
		if first == "Ready" {
			return s
		}
	}
	t.Fatalf("the server did not start: %s", s.errs)
	return nil
}

func (s *served) kill() {
	if !s.stopped {
		s.stopped = true
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// stop ends it as an operator would.
func (s *served) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.stopped = true
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v: %s", err, s.errs)
	}
}

// run runs a command of the program to its end.
func run(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "daybook", append([]string{"eventstore"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// does runs a command that must succeed.
func does(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	out, errs, err := run(t, stdin, args...)
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, errs)
	}
	return out
}

// fails runs a command that must not.
func fails(t *testing.T, want string, args ...string) string {
	t.Helper()
	out, errs, err := run(t, nil, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(errs, want) {
		t.Errorf("%s: %v: %s; want %q", strings.Join(args, " "), err, errs, want)
	}
	return out
}

func appendOne(ctx context.Context, c *esdb.Client, stream string, at esdb.ExpectedRevision) (*esdb.WriteResult, error) {
	return c.AppendToStream(ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: at},
		esdb.EventData{EventID: uuid.New(), EventType: "thing.happened", ContentType: esdb.ContentTypeJson, Data: []byte(`{"n":1}`), Metadata: []byte("\x01")})
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(clienttest.Within(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}
