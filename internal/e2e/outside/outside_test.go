// Package outside uses the kit as others do: from modules of their own, which Go itself forbids to import anything internal.
package outside

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the house.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// modules gives a module's go.mod, as it is there or as given, and go.sum, under other names: building may add to them.
func modules(t *testing.T, mod, sum string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "go.mod")
	if err := os.WriteFile(file, []byte(mod), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(file, "mod")+"sum", []byte(sum), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// run runs the go command in a module and gives what it said and how long it took.
func run(t *testing.T, dir, modfile string, args ...string) (string, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the go command
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -modfile="+modfile, "GOSUMDB=off", "GOWORK=off", "CGO_ENABLED=0")
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), time.Since(began)
}

// The hotel of the README is built, examined and tested from outside the house, and runs: its test books rooms over HTTP, sees one booking
// undone, kills the program, starts it again, and has the doctor look at it.
func TestHotel(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root(t), "examples", "hotel")
	mod, sum := read(t, filepath.Join(dir, "go.mod")), read(t, filepath.Join(dir, "go.sum"))
	file := modules(t, mod, sum)
	run(t, dir, file, "vet", "./...")
	out, took := run(t, dir, file, "test", "-count=1", "./...")
	t.Logf("in %.1f s:\n%s", took.Seconds(), out)
	if read(t, file) != mod {
		t.Error("examples/hotel/go.mod is not complete: run `go mod tidy` there")
	}
	imports, _ := run(t, dir, file, "list", "-f", `{{join .Imports "\n"}}{{"\n"}}{{join .XTestImports "\n"}}`, "./...")
	if !strings.Contains(imports, "/kit/runtime") || strings.Contains(imports, "/internal/") {
		t.Errorf("the hotel imports\n%s", imports)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	lines, tests := 0, 0
	for _, f := range append(files, filepath.Join(dir, "cmd", "hotel", "main.go")) {
		n := strings.Count(read(t, f), "\n")
		if strings.HasSuffix(f, "_test.go") {
			tests += n
		} else {
			lines += n
		}
	}
	t.Logf("the hotel is %d lines of Go, and %d of tests", lines, tests)
	if lines > mostLines {
		t.Errorf("the hotel is to be read in one go: %d lines, at most %d", lines, mostLines)
	}
}

// mostLines are those of the program, without its tests.
const mostLines = 400

// A module that knows nothing of Daybook but the event store for tests needs few lines in go.mod, and runs a test with the official
// client.
func TestIndependentModule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	house := root(t)
	client := ""
	for line := range strings.Lines(read(t, filepath.Join(house, "go.mod"))) {
		if strings.Contains(line, "EventStore-Client-Go") {
			client = strings.TrimSpace(line)
		}
	}
	mod := "module example.com/independent\n\ngo 1.26\n\nrequire (\n\tgithub.com/daybook-dev/daybook v0.0.0\n\t" + client +
		"\n)\n\nreplace github.com/daybook-dev/daybook => " + house + "\n"
	const test = `package independent

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/daybook-dev/daybook/kit/eventserver/eventservertest"
)

func TestAppend(t *testing.T) {
	config, err := esdb.ParseConnectionString(eventservertest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	client, err := esdb.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	written, err := client.AppendToStream(t.Context(), "order-1", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}},
		esdb.EventData{EventType: "order.placed", ContentType: esdb.ContentTypeJson, Data: []byte("{}")})
	if err != nil || written.NextExpectedVersion != 0 {
		t.Error(written, err)
	}
}
`
	for name, text := range map[string]string{"go.mod": mod, "independent_test.go": test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := modules(t, mod, read(t, filepath.Join(house, "go.sum")))
	_, compiled := run(t, dir, file, "test", "-c", "-o", os.DevNull, ".")
	out, _ := run(t, dir, file, "test", "-count=1", "-run", "TestAppend", "-v", ".")
	if !strings.Contains(out, "PASS: TestAppend") {
		t.Errorf("it ran no test:\n%s", out)
	}
	packages, _ := run(t, dir, file, "list", "-deps", "-test", ".")
	for line := range strings.Lines(packages) {
		if strings.Contains(line, "segmentio/kafka-go") || strings.Contains(line, "jackc/pgx") || strings.Contains(line, "labstack/echo") || strings.Contains(line, "daybook/kit/es") {
			t.Errorf("a test with an event store compiles %s", line)
		}
	}
	t.Logf("go.mod has %d lines, the test is compiled in %.1f s with what the build cache holds, out of %d packages",
		strings.Count(read(t, file), "\n"), compiled.Seconds(), strings.Count(packages, "\n"))
}
