// Package testenv runs the whole system for tests: the program itself, built once, as processes of their own that can be
// killed at any moment, on a data directory that a test can keep over restarts.
package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// build compiles the program with failpoints, once per test binary.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "daybook-bin-")
	if err != nil {
		return "", fmt.Errorf("directory of the program: %w", err)
	}
	bin := filepath.Join(dir, "daybook")
	cmd := exec.Command("go", "build", "-tags", "failpoint", "-o", bin, "./cmd/daybook") //nolint:gosec,noctx // our own
	cmd.Dir = root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return bin, nil
})

// Binary is the program, with failpoints.
func Binary(t testing.TB) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// Main runs a package's tests and removes what was built for them.
func Main(m *testing.M) {
	code := m.Run()
	if bin, err := build(); err == nil && code == 0 {
		_ = os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// DataDir is a directory that Postgres' own user can reach when the test is root, removed at the test's end.
func DataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "daybook-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	return dir
}
