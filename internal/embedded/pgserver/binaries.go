package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

const oldestMajor = 15

// binaries is one installation of Postgres.
type binaries struct {
	dir     string // holds initdb and postgres
	version string // "15.14"
	major   int
}

func (b binaries) tool(name string) string { return filepath.Join(b.dir, name) }

// places where packages put Postgres.
func places() []string {
	return []string{
		"/usr/lib/postgresql/*/bin",          // Debian
		"/usr/pgsql-*/bin",                   // Red Hat
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	}
}

// find gives the binaries to run: those of the wanted major version, the newest where wanted is 0.
func find(ctx context.Context, cfg Config, wanted int) (binaries, error) {
	if given := cfg.Binaries; given != "" && given != download {
		b, err := probe(ctx, given)
		switch {
		case err != nil:
			return b, fmt.Errorf("binaries of Postgres in %s: %w", given, err)
		case wanted != 0 && b.major != wanted:
			return b, otherMajor(cfg, wanted, fmt.Sprintf("%s holds %s", given, b.version))
		}
		return b, nil
	}
	var found []binaries
	if cfg.Binaries != download {
		found = installed(ctx)
		for _, b := range found {
			if wanted == 0 || b.major == wanted {
				return b, nil
			}
		}
	}
	if wanted != 0 && wanted != pinnedMajor {
		what := "none is installed"
		if len(found) > 0 {
			what = "the newest found is " + found[0].version
		}
		return binaries{}, otherMajor(cfg, wanted, what)
	}
	dir, err := pinned(ctx, cfg, fetch)
	if err != nil {
		return binaries{}, fmt.Errorf("no Postgres found on this machine (install one, or set PG_BIN to its directory); fetching one: %w", err)
	}
	return probe(ctx, dir)
}

func otherMajor(cfg Config, wanted int, found string) error {
	return fmt.Errorf("the data in %s is of Postgres %d, and %s: install Postgres %d or set PG_BIN to its directory "+
		"(the keys of personal data are in it: do not move it away unless they are kept elsewhere)",
		filepath.Join(cfg.Dir, dataName(wanted)), wanted, found, wanted)
}

// installed gives what packages installed, the newest first.
func installed(ctx context.Context) []binaries {
	var found []binaries
	for _, pattern := range places() {
		dirs, _ := filepath.Glob(pattern) // the patterns are right
		for _, dir := range dirs {
			if b, err := probe(ctx, dir); err == nil {
				found = append(found, b)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return b.major - a.major })
	return found
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) ((\d+)[^\s]*)`)

// probe asks the binaries in dir for their version.
func probe(ctx context.Context, dir string) (binaries, error) {
	b := binaries{dir: dir}
	if info, err := os.Stat(b.tool("initdb")); err != nil {
		return b, err
	} else if info.Mode()&0o111 == 0 {
		return b, errors.New("initdb is not executable")
	}
	cmd := exec.CommandContext(ctx, b.tool("postgres"), "--version") //nolint:gosec // what the machine or its owner names
	cmd.Env = environment()
	out, err := cmd.Output()
	if err != nil {
		return b, fmt.Errorf("postgres --version: %w", err)
	}
	m := versionLine.FindStringSubmatch(string(out))
	if m == nil {
		return b, fmt.Errorf("postgres --version said %q", strings.TrimSpace(string(out)))
	}
	b.version = m[1]
	if b.major, err = strconv.Atoi(m[2]); err != nil || b.major < oldestMajor {
		return b, fmt.Errorf("version %s is older than %d", b.version, oldestMajor)
	}
	return b, nil
}

// environment of every Postgres program: nothing of ours may steer it (PGDATA, PGPORT, LC_ALL, TZ).
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	if runtime.GOOS == "darwin" {
		env = append(env, "HOME="+os.Getenv("HOME"))
	}
	return env
}
