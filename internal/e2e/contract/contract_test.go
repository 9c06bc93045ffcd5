package contract_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

//go:embed requirements.txt
var requirements []byte

// TestServerAndDocumentAgree lets Schemathesis look for requests that the document and the server judge differently, and for answers
// that are not what the document says. DAYBOOK_SEED repeats a run, on the same system.
func TestServerAndDocumentAgree(t *testing.T) {
	program := schemathesis(t)
	within, much := 10*time.Minute, []string{"--max-examples", "10"} // work, not time: a slow machine asks as much as a quick one
	if os.Getenv("DAYBOOK_LONG") != "" {
		within = 20 * time.Minute
		much = []string{"--max-time", strconv.Itoa(int(within.Seconds()))}
	}
	seed := "20261130" // a change is judged by the same cases as the one before
	if os.Getenv("DAYBOOK_LONG") != "" {
		seed = strconv.FormatUint(uint64(rand.Uint32()), 10)
	}
	if given := os.Getenv("DAYBOOK_SEED"); given != "" {
		seed = given
	}
	system := testenv.Start(t, testenv.Options{Args: testenv.AnyPorts()})
	c := system.Client()
	c.Post(t, 201, "/v1/products", "product", `{"sku":"MUG","name":"Mug","prices":{"GBP":500}}`)
	if a, err := c.Insist(t.Context(), "/v1/stock/MUG/receipts", "stock", `{"id":"first","quantity":1000000}`); err != nil || a.Status != 201 {
		t.Fatal(a, err)
	}

	hooks, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	// The margin is for the answers and the report that are under way when the time of a long run is up.
	ctx, cancel := context.WithTimeout(t.Context(), within+2*time.Minute)
	defer cancel()
	args := append([]string{"--config-file", filepath.Join(hooks, "schemathesis.toml"), "run", system.API + "/openapi.yaml", "--no-color", "--seed", seed}, much...)
	run := command(ctx, program, append(args, "--checks", "all", "--exclude-checks", "not_a_server_error,positive_data_acceptance", // hooks.py has them
		"--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure", "--request-timeout", "60",
		"--generation-database", "none", "--output-sanitize", "false", "--output-truncate", "false")...)
	run.Dir = t.TempDir()
	run.Env = append(os.Environ(), "SCHEMATHESIS_HOOKS=hooks", "PYTHONPATH="+hooks, "PYTHONDONTWRITEBYTECODE=1", "PYTHONIOENCODING=utf-8", "COLUMNS=120")
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("schemathesis with seed %s: %v\n%s", seed, err, out)
	}
	operations, cases := number(out, `Tested:\s+(\d+)`), number(out, `(\d+) generated`)
	if operations == 0 || operations != number(out, `Selected:\s+\d+/(\d+)`) || cases < 1000 {
		t.Errorf("%d operations, %d cases: too few to say anything", operations, cases)
	}
	_, summary, _ := bytes.Cut(out, []byte(" SUMMARY "))
	t.Logf("schemathesis: %d operations, %d cases, all checks, seed %s\n%s", operations, cases, seed, summary)
}

// number is what a pattern finds in the output, or 0.
func number(out []byte, pattern string) int {
	found := regexp.MustCompile(pattern).FindSubmatch(out)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}

// command is a program that ends with all it started when ctx does.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // ours, and what it was asked to run
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// schemathesis is the program of the pinned version, which is installed if it is not there yet; the test skips where it is not available.
func schemathesis(t *testing.T) string {
	t.Helper()
	program, err := install(t.Context())
	if err != nil {
		t.Skipf("SKIP schemathesis: %v", err)
	}
	return program
}

// install makes the virtual environment in the user's cache directory, whole or not at all. Other test processes wait for it.
func install(ctx context.Context) (string, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("there is no python3 in PATH")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	version, err := command(ctx, python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		return "", fmt.Errorf("python3 does not run: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "daybook", fmt.Sprintf("schemathesis-%.8x-%s", sha256.Sum256(requirements), strings.TrimSpace(string(version))))
	program, installed := filepath.Join(dir, "bin", "schemathesis"), filepath.Join(dir, "installed")
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // our cache
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(installed); err == nil {
		return program, nil
	}
	for _, step := range [][]string{
		{python, "-m", "venv", "--clear", dir},
		{filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", "requirements.txt"},
	} {
		if out, err := command(ctx, step[0], step[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(step[1:3], " "), err, lastLine(out))
		}
	}
	return program, os.WriteFile(installed, nil, 0o600)
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
