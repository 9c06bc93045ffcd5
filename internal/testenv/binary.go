// Package testenv runs the whole system for tests: the program itself, built once, as processes of their own that can be
// killed at any moment, on a data directory that a test can keep over restarts.
package testenv

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/daybook-dev/daybook/internal/filelock"
)

// build is a copy of the program of this test binary's own.
var build = sync.OnceValues(func() (string, error) {
	linked, unlock, err := link()
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, err := os.MkdirTemp("", "daybook-bin-")
	if err != nil {
		return "", fmt.Errorf("directory of the program: %w", err)
	}
	bin := filepath.Join(dir, "daybook")
	from, err := os.Open(linked)
	if err != nil {
		return "", fmt.Errorf("the program: %w", err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(bin, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755) //nolint:gosec // a program
	if err != nil {
		return "", fmt.Errorf("copy of the program: %w", err)
	}
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close()
		return "", fmt.Errorf("copy of the program: %w", err)
	}
	return bin, to.Close()
})

// link compiles the program with failpoints, in the user's cache directory. The go command links it only if what is there is older
// than the source: once per run of the tests, and not once per package. Until unlock it stays as it is.
func link() (bin string, unlock func(), err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", nil, fmt.Errorf("directory of the program: %w", err)
	}
	dir := filepath.Join(cache, "daybook", fmt.Sprintf("program-%.8x", sha256.Sum256([]byte(root()))))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", nil, fmt.Errorf("directory of the program: %w", err)
	}
	lock, err := filelock.Wait(filepath.Join(dir, "lock"))
	if err != nil {
		return "", nil, fmt.Errorf("directory of the program: %w", err)
	}
	bin = filepath.Join(dir, "daybook")
	cmd := exec.Command("go", "build", "-tags", "failpoint", "-o", bin, "./cmd/daybook") //nolint:gosec,noctx // our own
	cmd.Dir = root()
	if out, err := cmd.CombinedOutput(); err != nil {
		lock.Release()
		return "", nil, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return bin, lock.Release, nil
}

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
