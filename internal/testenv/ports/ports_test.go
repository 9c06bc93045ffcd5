package ports_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv/ports"
)

const child = "DAYBOOK_TEST_PORTS"

// However many are reserved, by however many processes, before any of them is listened on, each is given once.
func TestReservedOnce(t *testing.T) {
	const processes, each = 8, 500
	if os.Getenv(child) != "" {
		for range each {
			port, _, err := ports.Reserve()
			if err != nil {
				t.Fatal(err)
			}
			os.Stdout.WriteString(ports.Loopback(port) + "\n")
		}
		os.Stdout.Close()
		_, _ = os.Stdin.Read(make([]byte, 1)) // they stay reserved until the other processes have theirs
		return
	}
	t.Setenv("TMPDIR", t.TempDir()) // not out of those of tests that run beside this one
	given := map[string]int{}
	var all []*exec.Cmd
	for range processes {
		cmd := exec.Command(os.Args[0], "-test.run=^TestReservedOnce$")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
		said, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		for address := range strings.Lines(string(said)) {
			given[strings.TrimSpace(address)]++
		}
		defer in.Close()
	}
	if len(given) != processes*each {
		t.Errorf("%d addresses for %d reservations", len(given), processes*each)
	}
	for address, times := range given {
		if _, _, err := net.SplitHostPort(address); err != nil || times > 1 {
			t.Errorf("%s was given %d times: %v", address, times, err)
		}
	}
	for _, cmd := range all {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
