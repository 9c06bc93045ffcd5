package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

func dataName(major int) string { return "data-" + strconv.Itoa(major) }

// dataMajor is the newest version that dir has data of, 0 if it has none.
func dataMajor(dir string) (int, error) {
	found, err := filepath.Glob(filepath.Join(dir, "data-*", "PG_VERSION"))
	if err != nil {
		return 0, err
	}
	newest := 0
	for _, f := range found {
		b, err := os.ReadFile(f) //nolint:gosec // in our directory
		if err != nil {
			return 0, err
		}
		major, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil || dataName(major) != filepath.Base(filepath.Dir(f)) {
			return 0, fmt.Errorf("%s holds %q", f, strings.TrimSpace(string(b)))
		}
		newest = max(newest, major)
	}
	return newest, nil
}

// makeData makes an empty database in a directory beside data and then renames it, so that data is whole or absent.
// What an interrupted one left behind is removed; data itself never is.
func makeData(ctx context.Context, cfg Config, bin binaries, acct account, password, data string) error {
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	left, err := filepath.Glob(filepath.Join(cfg.Dir, "initdb-*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	side, err := os.MkdirTemp(cfg.Dir, "initdb-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(side) }()
	secret := filepath.Join(side, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	if err := errors.Join(acct.give(side), acct.give(secret)); err != nil {
		return err
	}
	made := filepath.Join(side, "data")
	args := []string{
		"-D", made, "-U", superuser, "--pwfile", secret, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", // the order of texts must not change with the machine's libraries
		"--data-checksums", "--no-instructions",
	}
	if cfg.Disposable {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, bin.tool("initdb"), args...) //nolint:gosec // found by us
	cmd.Dir, cmd.Env, cmd.SysProcAttr = side, environment(), attributes(acct)
	p, err := spawn(cmd, cfg.Logger, nil)
	if err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	if <-p.done; p.err != nil {
		return fmt.Errorf("initdb for %s: %w\n%s", data, p.err, p.log.text())
	}
	if err := os.Rename(made, data); err != nil {
		return err
	}
	return syncDir(cfg.Dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // ours
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
