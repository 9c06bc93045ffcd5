package eventserver_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

const officialClient = "github.com/EventStore/EventStore-Client-Go/v4"

// TestUpstream runs the official Go client's own tests that need one server, each group against servers of its own, an empty one
// and one with what its fixtures hold.
//
// Not run: TestProjections (not offered), TestPlugins (client certificates, a commercial plugin of the real server), ClusterTests
// (three servers).
func TestUpstream(t *testing.T) {
	if os.Getenv("UPSTREAM") == "" {
		t.Skip("the official Go client's tests are not run: UPSTREAM is not set")
	}
	dir := t.TempDir()
	fixture := prepareUpstream(t, dir)
	total := map[string]int{}
	for _, secure := range []bool{false, true} {
		for _, group := range []string{"TestStreams", "TestPersistentSubscriptions", "TestExpectations"} {
			mode := map[bool]string{false: "insecure", true: "secured"}[secure]
			t.Run(mode+"/"+group, func(t *testing.T) { runUpstream(t, dir, group, secure, fixture, total) })
		}
	}
	t.Logf("the official Go client's tests: %d passed, %d failed, %d skipped", total["PASS"], total["FAIL"], total["SKIP"])
}

// prepareUpstream copies the client's sources, puts our way to find servers in place of containers, and makes the fixture.
func prepareUpstream(t *testing.T, dir string) *fixture {
	t.Helper()
	out, err := exec.CommandContext(clienttest.Within(t), "go", "list", "-m", "-f", "{{.Dir}}", officialClient).Output()
	clienttest.Must(t, err)
	source := strings.TrimSpace(string(out))
	clienttest.Must(t, filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil || strings.HasPrefix(name, "samples") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), b, 0o600) //nolint:gosec // a copy in the test's own directory
	}))
	lookup, err := os.ReadFile("testdata/upstream/lookup_test.go.txt")
	clienttest.Must(t, err)
	clienttest.Must(t, os.WriteFile(filepath.Join(dir, "esdb", "containers_test.go"), lookup, 0o600))
	f := newFixture(t, filepath.Join(dir, "resources", "test"))
	// Two positions stand in the tests themselves. A read backwards begins below its own.
	path := filepath.Join(dir, "esdb", "read_all_test.go")
	b, err := os.ReadFile(path)
	clienttest.Must(t, err)
	for old, now := range map[string]uint64{"1_788": f.positions[1788], "3_386": f.positions[3256] + 1} {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("%s has no %s", path, old)
		}
		b = bytes.ReplaceAll(b, []byte(old), fmt.Append(nil, now))
	}
	clienttest.Must(t, os.WriteFile(path, b, 0o600)) //nolint:gosec // a copy in the test's own directory
	return f
}

func runUpstream(t *testing.T, dir, group string, secure bool, f *fixture, total map[string]int) {
	var change []func(*eventserver.Config)
	if secure {
		cert, key, _ := certificate(t)
		other, _, _ := certificate(t)
		for from, to := range map[string]string{cert: "node/node.crt", key: "node/node.key", other: "untrusted-ca/ca.crt"} {
			b, err := os.ReadFile(from)
			clienttest.Must(t, err)
			to = filepath.Join(dir, "certs", to)
			clienttest.Must(t, os.MkdirAll(filepath.Dir(to), 0o755)) //nolint:gosec // nothing secret in it
			clienttest.Must(t, os.WriteFile(to, b, 0o600))
		}
		change = append(change, func(cfg *eventserver.Config) { cfg.CertFile, cfg.KeyFile = cert, key })
	}
	// Some of the tests count events before they say how many they wait for, and panic if the server is quick.
	const theirs = "panic: sync: negative WaitGroup counter"
	for try := 1; ; try++ {
		out, err := goTest(t, dir, group, secure, f, change)
		if err != nil && bytes.Contains(out, []byte(theirs)) && try < 5 {
			t.Logf("once more: a test of theirs panicked by itself")
			continue
		}
		outcomes := regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+/\S+/\S+) `)
		for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
			if m := outcomes.FindStringSubmatch(lines.Text()); m != nil {
				total[m[1]]++
				t.Logf("%s %s", m[1], m[2])
			}
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
}

// goTest runs a group of tests against fresh servers.
func goTest(t *testing.T, dir, group string, secure bool, f *fixture, change []func(*eventserver.Config)) ([]byte, error) {
	t.Helper()
	empty := start(t, change...)
	data := filepath.Join(t.TempDir(), "populated")
	_, err := eventserver.Import(clienttest.Within(t), bytes.NewReader(f.dump), data, store.ImportOptions{})
	clienttest.Must(t, err)
	populated := start(t, append(slices.Clip(change), func(cfg *eventserver.Config) { cfg.Dir = data })...)
	f.expect(t, connectAs(t, populated, secure))
	cmd := exec.CommandContext(t.Context(), "go", "test", "-mod=mod", "-count=1", "-v", "-run", "^"+group+"$", "./esdb")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOFLAGS=", "UPSTREAM_EMPTY="+local(t, empty), "UPSTREAM_POPULATED="+local(t, populated),
		fmt.Sprintf("EVENTSTORE_INSECURE=%t", !secure))
	return cmd.CombinedOutput()
}

// local is a server's address by the name that the tests use.
func local(t *testing.T, s *eventserver.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr())
	clienttest.Must(t, err)
	return "localhost:" + port
}
