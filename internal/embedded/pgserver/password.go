package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/daybook-dev/daybook/internal/failpoint"
)

// SetPassword makes what is in Config.PasswordFile the superuser's password, whatever that was. A single process opens the data, as only
// its owner can. A server that was left running on it is ended before. Errors: ErrInUse.
func SetPassword(ctx context.Context, cfg Config) error {
	s, err := hold(cfg)
	if err != nil {
		return err
	}
	defer s.lock.Release()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if pm, err := readPostmaster(s.data); err == nil && serves(pm.pid, s.data) {
		follow(pm, s.data).stop(patience)
	}
	cmd := exec.CommandContext(ctx, s.bin.tool("postgres"), "--single", "-D", s.data, //nolint:gosec // found by us
		"-c", "exit_on_error=true", "-c", "log_min_error_statement=panic", "postgres")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.data, environment(), attributes(s.acct)
	if said, err := tell(cmd, "alter role "+superuser+" password '"+strings.ReplaceAll(s.password, "'", "''")+"'\n"); err != nil {
		return fmt.Errorf("set the password of the embedded Postgres: %w\n%s", err, said)
	}
	return nil
}

// tell runs a process to its end, with a text as its input.
func tell(cmd *exec.Cmd, text string) (said string, err error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", err
	}
	failpoint.Hit(failpoint.RecoverPasswordDuring)
	_, written := io.WriteString(in, text)
	err = errors.Join(written, in.Close(), cmd.Wait())
	return out.String(), err
}
