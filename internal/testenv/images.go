package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tclog "github.com/testcontainers/testcontainers-go/log"
)

const (
	imagePrefix = "daybook-local/"
	ownerLabel  = "dev.daybook.test" // the test process' id
)

// errNoContainers: this machine cannot run them.
var errNoContainers = errors.New("no containers")

// Images builds the images of deploy/local, once per test process, on the Docker engine that answers (DOCKER_HOST). Where none
// does, or what it needs is not available, or DAYBOOK_TEST_CONTAINERS=off, it skips the test and says why.
func Images(t testing.TB) {
	t.Helper()
	switch err := built(); {
	case errors.Is(err, errNoContainers):
		t.Skipf("SKIP: not run in containers: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}

var built = sync.OnceValue(func() error {
	if os.Getenv("DAYBOOK_TEST_CONTAINERS") == "off" {
		return fmt.Errorf("%w: DAYBOOK_TEST_CONTAINERS=off", errNoContainers)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	// Without its reaper, whose image is not available everywhere; what a killed test left is removed below.
	for k, v := range map[string]string{"TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"} {
		if _, given := os.LookupEnv(k); !given {
			_ = os.Setenv(k, v)
		}
	}
	tclog.SetDefault(silent())
	ask, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	if err := answers(ask); err != nil {
		return fmt.Errorf("%w: %w", errNoContainers, err)
	}
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "daybook-images.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock of the images: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock of the images: %w", err)
	}
	removeLeft(ctx)
	cmd := exec.CommandContext(ctx, filepath.Join(root(), "deploy", "local", "build.sh")) //nolint:gosec // our own
	out, err := cmd.CombinedOutput()
	const cannot = 3 // what it needs is not available here
	if err != nil && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == cannot {
		return fmt.Errorf("%w: %s", errNoContainers, strings.TrimSpace(string(out)))
	}
	if err != nil {
		return fmt.Errorf("build the images: %w\n%s", err, out)
	}
	return nil
})

// removeLeft removes containers of test processes that are gone.
func removeLeft(ctx context.Context) {
	out, err := exec.CommandContext(ctx, "docker", "ps", "-a", "--filter", "label="+ownerLabel, "--format", `{{.ID}} {{.Label "`+ownerLabel+`"}}`).Output() //nolint:gosec // ours
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		id, owner, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(owner)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = exec.CommandContext(ctx, "docker", "rm", "-fv", id).Run() //nolint:gosec // what the line above says
		}
	}
}

// root is the project's directory.
func root() string {
	_, here, _, known := runtime.Caller(0)
	if !known {
		return ""
	}
	return filepath.Join(filepath.Dir(here), "..", "..")
}

// File is the path of one of the project's files.
func File(name string) string { return filepath.Join(root(), name) }

// Sample is a file of 30,000 invoice lines of the Online Retail data set. Where it is missing, the test is skipped and says why.
func Sample(t testing.TB) string {
	t.Helper()
	file := filepath.Join(root(), "..", "shared", "data", "online-retail", "online-retail-30k.csv")
	if _, err := os.Stat(file); err != nil {
		t.Skipf("SKIP %s: the Online Retail sample is missing: %v", t.Name(), err)
	}
	return file
}
