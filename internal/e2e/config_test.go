package e2e_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// serve starts the program in the hope that it will not run, and gives what it said. It listens on free ports unless args say
// otherwise.
func serve(t *testing.T, env []string, args ...string) (said string, failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "json"}, args...)
	cmd := exec.CommandContext(ctx, testenv.Binary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Errorf("%v runs:\n%s", args, out.String())
	}
	return out.String(), err != nil
}

// A configuration that cannot be meant is refused by the name of its setting, and nothing is begun.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file string
		env, args  []string
		says       []string
	}{
		{"not YAML", "listen: [", nil, nil, []string{"daybook.yaml", "yaml"}},
		{"a tab in YAML", "shop:\n\tcurrencies: [GBP]\n", nil, nil, []string{"daybook.yaml", "yaml", "line 2"}},
		{"unknown setting", "listne: 127.0.0.1:1\n", nil, nil, []string{"daybook.yaml", "listne"}},
		{"unknown setting of the shop", "shop:\n  currency: GBP\n", nil, nil, []string{"daybook.yaml", "shop", "currency"}},
		{"bad value in the file", "action-within: soon\n", nil, nil, []string{"action-within", "daybook.yaml", `"soon"`}},
		{"bad value in the environment", "", []string{"DAYBOOK_ACTION_WITHIN=soon"}, nil, []string{"action-within", "DAYBOOK_ACTION_WITHIN", `"soon"`}},
		{"bad value of a flag", "", nil, []string{"--action-within", "soon"}, []string{"action-within", "--action-within", `"soon"`}},
		{"below zero", "", nil, []string{"--action-within", "-1s"}, []string{"action-within", "-1s"}},
		{"neither true nor false", "allow-anonymous: perhaps\n", nil, nil, []string{"allow-anonymous", "perhaps"}},
		{"bad role", "", nil, []string{"--roles", "relay,cook"}, []string{"roles", `"cook"`, "command-api"}},
		{"no role", "", nil, []string{"--roles", ","}, []string{"roles"}},
		{"bad address", "", nil, []string{"--listen", "8080"}, []string{"listen", `"8080"`, "host:port"}},
		{"beyond loopback", "", nil, []string{"--listen", "0.0.0.0:0"}, []string{"listen", "0.0.0.0:0", "--allow-anonymous"}},
		{"admin beyond loopback", "", nil, []string{"--admin-listen", "0.0.0.0:0"}, []string{"admin-listen", "0.0.0.0:0", "--allow-anonymous"}},
		{"embedded server beyond loopback", "", nil, []string{"--postgres-listen", "0.0.0.0:0"}, []string{"postgres-listen", "--allow-anonymous"}},
		{"bad event store", "", nil, []string{"--eventstore", "http://127.0.0.1:2113"}, []string{"eventstore", "esdb://"}},
		{"bad Kafka", "", nil, []string{"--kafka", "127.0.0.1"}, []string{"kafka", `"127.0.0.1"`}},
		{"bad Postgres", "", nil, []string{"--postgres", "mysql://u:hunter2@127.0.0.1/x"}, []string{"postgres", "postgres://"}},
		{"unreadable Postgres URL", "", nil, []string{"--postgres", "postgres://u:hunter2@127.0.0.1:port/x"}, []string{"postgres"}},
		{"bad provider", "", nil, []string{"--payment-provider", "ftp://x"}, []string{"payment-provider", "http://"}},
		{"relative data directory", "", nil, []string{"--data-dir", "data"}, []string{"data-dir", `"data"`}},
		{"bad log level", "", nil, []string{"--log-level", "loud"}, []string{"log-level", `"loud"`, "debug"}},
		{"bad currency", "shop:\n  currencies: [pounds]\n", nil, nil, []string{"currenc", "pounds"}},
		{"bad time zone", "shop:\n  time_zone: Mars/Olympus\n", nil, nil, []string{"time_zone", "Mars/Olympus"}},
		{"bad tax", "shop:\n  tax: {GB: {standard: -1}}\n", nil, nil, []string{"tax", "GB"}},
		{"tax that is no number", "shop:\n  tax: {GB: {standard: much}}\n", nil, nil, []string{"tax", "GB"}},
		{"two at once", "", nil, []string{"--log-level", "loud", "--roles", "cook"}, []string{"log-level", "roles"}},
		{"no such file", "", nil, []string{"--config", "/nowhere/daybook.yaml"}, []string{"/nowhere/daybook.yaml"}},
		{"unknown flag", "", nil, []string{"--speed", "11"}, []string{"--speed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			args := append([]string{"--data-dir", dir}, c.args...)
			if c.file != "" {
				file := filepath.Join(t.TempDir(), "daybook.yaml")
				if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--config", file)
			}
			said, failed := serve(t, c.env, args...)
			if !failed {
				t.Error("it ran")
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("does not name %s: %s", want, said)
				}
			}
			if strings.Contains(said, "hunter2") || strings.Contains(said, "panic") || strings.Contains(said, "goroutine") {
				t.Errorf("said %s", said)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the data directory was made")
			}
		})
	}
}

func TestTakenAddress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	taken := l.Addr().String()
	for _, flag := range []string{"--listen", "--admin-listen", "--simulator-listen", "--eventstore-listen", "--kafka-listen", "--postgres-listen"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			said, failed := serve(t, nil, "--data-dir", testenv.DataDir(t), flag, taken)
			if !failed || !strings.Contains(said, taken) || !strings.Contains(said, strings.TrimPrefix(flag, "--")) || !strings.Contains(said, "in use") {
				t.Errorf("failed %v: %s", failed, said)
			}
		})
	}
}

func TestDataDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "data"), "/proc/daybook"} {
		if said, failed := serve(t, nil, "--data-dir", dir); !failed || !strings.Contains(said, "data directory") || !strings.Contains(said, dir) || !strings.Contains(said, "--data-dir") {
			t.Errorf("%s: failed %v: %s", dir, failed, said)
		}
	}
	if os.Geteuid() != 0 {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		if said, failed := serve(t, nil, "--data-dir", dir); !failed || !strings.Contains(said, "data directory") {
			t.Errorf("failed %v: %s", failed, said)
		}
	}
}

// A second process on a data directory is refused, and the first one is none the worse for it. One that has other keys is
// refused too.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	s := openShop(t, testenv.Options{})
	s.stock(t, "MUG", 1)
	before, err := os.ReadFile(filepath.Join(s.DataDir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"--roles", "eventstore"}, {"--roles", "kafka"}, {"--roles", "postgres"}, {"--roles", "simulator"}} {
		said, failed := serve(t, nil, append([]string{"--data-dir", s.DataDir}, args...)...)
		if !failed || !strings.Contains(said, "runs on "+s.DataDir+" already: process "+strconv.Itoa(s.PID())+", "+s.API) {
			t.Errorf("%v: failed %v: %s", args, failed, said)
		}
	}
	if after, err := os.ReadFile(filepath.Join(s.DataDir, "run.json")); err != nil || string(after) != string(before) {
		t.Errorf("run.json was %s and is %s, %v", before, after, err)
	}
	s.c.Post(t, 201, "/v1/stock/MUG/receipts", "still here", `{"id":"R2","quantity":1}`)

	var at struct{ Admin string }
	s.Addresses(&at)
	admin := strings.TrimPrefix(at.Admin, "http://")
	if out, errs, err := testenv.Run(t, "health", "--admin-listen", admin); err != nil || out != "ok\n" {
		t.Errorf("health: %q %q %v", out, errs, err)
	}
	others := filepath.Join(testenv.DataDir(t), "secrets")
	roles := []string{"--data-dir", s.DataDir, "--secrets", others, "--roles", "query-api"}
	if said, failed := serve(t, nil, roles...); !failed || !strings.Contains(said, "key") || strings.Contains(said, "panic") {
		t.Errorf("with other secrets: failed %v: %s", failed, said)
	}
	s.Stop()
	if said, failed := serve(t, nil, "--data-dir", s.DataDir, "--secrets", others); !failed || !strings.Contains(said, "secret") && !strings.Contains(said, "key") && !strings.Contains(said, "password") {
		t.Errorf("restarted with other secrets: failed %v: %s", failed, said)
	}
	if _, err := os.Stat(filepath.Join(s.DataDir, "run.json")); err == nil {
		t.Error("run.json outlived its process")
	}
	again := openShop(t, testenv.Options{DataDir: s.DataDir})
	var st struct {
		OnHand int `json:"on_hand"`
	}
	if again.c.Get(t, "/v1/stock/MUG").Into(t, &st); st.OnHand != 2 {
		t.Errorf("%d on hand", st.OnHand)
	}
}
