package pgserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// postmaster is what a running server writes about itself into postmaster.pid of its data directory.
type postmaster struct {
	pid     int
	started string // seconds since 1970
	port    string
	host    string
	status  string // starting, stopping, ready
}

// errTorn says that a pid file does not begin with one: it is being written this moment, or a power cut left it so.
var errTorn = errors.New("does not begin with a process id")

// readPostmaster gives fs.ErrNotExist if there is no file. A file that is still being written lacks its last lines.
func readPostmaster(data string) (postmaster, error) {
	b, err := os.ReadFile(pidFile(data))
	if err != nil {
		return postmaster{}, err
	}
	lines := strings.Split(string(b), "\n")
	line := func(n int) string {
		if n < len(lines) {
			return strings.TrimSpace(lines[n])
		}
		return ""
	}
	pid, err := strconv.Atoi(line(0))
	if err != nil || pid == 0 {
		return postmaster{}, fmt.Errorf("%s: %w", pidFile(data), errTorn)
	}
	// A server in single-user mode writes its id negative.
	return postmaster{pid: max(pid, -pid), started: line(2), port: line(3), host: line(5), status: line(7)}, nil
}

func pidFile(data string) string { return filepath.Join(data, "postmaster.pid") }

// unusedPID is above every id that Linux or macOS give out.
const unusedPID = 1<<22 + 1

// disown makes a postmaster.pid harmless whose process is not a server of data. Postgres would refuse to start for
// ever where another process of the same user, or a thread of ours, was given the id that the dead one had, or where
// it is not reaped: usual in a container. The rest of the file stays: by it Postgres finds backends that outlived
// their postmaster, and refuses rightly. The caller holds the lock of the directory.
func disown(data string, acct account) error {
	path := pidFile(data)
	b, err := os.ReadFile(path) //nolint:gosec // in our data
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok { // torn by a power cut: it says nothing
		return os.Remove(path)
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, append([]byte(strconv.Itoa(unusedPID)+"\n"), rest...), 0o600); err != nil { //nolint:gosec // beside the file itself
		return err
	}
	return errors.Join(acct.give(fresh), os.Rename(fresh, path))
}
