package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/tour"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/doctor"
)

// composed is docker-compose.yml brought up under a project's name of its own, with images that were built here.
type composed struct {
	t       *testing.T
	project string
	port    string // the API's, on loopback
}

func (c *composed) command(ctx context.Context, args ...string) *exec.Cmd {
	files := []string{"compose", "-p", c.project, "-f", "docker-compose.yml", "-f", "deploy/compose.local.yml"}
	cmd := exec.CommandContext(ctx, "docker", append(files, args...)...) //nolint:gosec // ours
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "DAYBOOK_PORT="+c.port)
	return cmd
}

// run waits for the command's end.
func (c *composed) run(args ...string) (stdout string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 4*time.Minute)
	defer cancel()
	cmd := c.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("docker compose %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

func (c *composed) up() {
	c.t.Helper()
	c.t.Cleanup(func() {
		if c.t.Failed() {
			said, _ := c.run("logs", "--no-color", "--tail", "30")
			c.t.Log(said)
		}
		if _, err := c.run("down", "--volumes", "--timeout", "1"); err != nil {
			c.t.Error(err)
		}
	})
	began := time.Now()
	if _, err := c.run("up", "--detach", "--wait", "--wait-timeout", "200"); err != nil {
		c.t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); !c.consuming(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(until) {
			c.t.Fatal("not every consumer has joined its group within a minute")
		}
	}
	c.t.Logf("every service was healthy, and had its part of the topic, after %s", time.Since(began).Round(100*time.Millisecond))
}

// consuming tells whether every consumer has joined its group, which a new Kafka takes seconds over.
func (c *composed) consuming() bool {
	for _, consumer := range []string{"projections", "sagas", "reactors"} {
		said, err := c.run("logs", "--no-color", "--no-log-prefix", consumer)
		if err != nil || testenv.PartitionsOf(said, consumer) != topic.DefaultPartitions {
			return false
		}
	}
	return true
}

// The compose file comes up, every role a service of its own; the tour is true of it; every service starts again in its container, on what
// is there; and the doctor finds nothing.
func TestComposeComesUp(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIP compose: this machine has no curl")
	}
	testenv.Images(t)
	if out, err := exec.CommandContext(t.Context(), "docker", "compose", "version").CombinedOutput(); err != nil {
		t.Skipf("SKIP compose: docker has no compose: %.200s", out)
	}
	_, port, _ := strings.Cut(testenv.Address(t), ":")
	c := &composed{t: t, project: fmt.Sprintf("daybook-test-%d", os.Getpid()), port: port}
	c.up()
	tour.Check(t, &testenv.Client{Base: "http://127.0.0.1:" + c.port, HTTP: &http.Client{Timeout: time.Minute}})
	for _, args := range [][]string{{"restart"}, {"up", "--detach", "--wait", "--wait-timeout", "200"}} {
		if _, err := c.run(args...); err != nil {
			t.Fatal(err)
		}
	}
	out, err := c.run("exec", "--no-TTY", "gateway", "/daybook", "doctor", "--json")
	var r doctor.Report
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
		t.Fatalf("%v, %v: %s", err, jsonErr, out)
	}
	if err != nil || !r.Healthy || !r.AtRest || r.Checked["rows"] == 0 || r.Checked["kafka records"] == 0 {
		t.Errorf("doctor: %v, %+v", err, r)
	}
	t.Logf("doctor: %v", r.Checked)
}
