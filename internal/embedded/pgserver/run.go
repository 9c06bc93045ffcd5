package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// begin makes the data if there is none, and runs a server on it.
func (s *Server) begin(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if err := makeData(ctx, s.cfg, s.bin, s.acct, s.password, s.data); err != nil {
		return err
	}
	err := s.serve(ctx)
	if err != nil && noSpace(err) && s.space.Release() {
		err = s.serve(ctx)
	}
	return err
}

// prepare finds all that a server needs besides its data.
func (s *Server) prepare(ctx context.Context) error {
	major, err := dataMajor(s.cfg.Dir)
	if err != nil {
		return err
	}
	if s.bin, err = find(ctx, s.cfg, major); err != nil {
		return err
	}
	if s.password, err = secrets.Text(s.cfg.PasswordFile); err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.data = filepath.Join(dir, dataName(s.bin.major))
	if s.acct, err = s.acct.ownerOf(s.data); err != nil {
		return err
	}
	return errors.Join(s.acct.admit(dir), s.acct.reaches(s.bin.dir))
}

// serve leaves a server that runs and whose database belongs to the owner.
func (s *Server) serve(ctx context.Context) error {
	if err := s.run(ctx, s.cfg.Listen); err != nil {
		return err
	}
	if err := s.handOver(ctx); err != nil {
		s.process().stop(patience)
		return fmt.Errorf("give the database to its owner: %w", err)
	}
	return nil
}

// run leaves a server that answers in s.proc: the one that runs already, else a new one at listen.
func (s *Server) run(ctx context.Context, listen string) error {
	begun := time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		taken, err := s.adopt(ctx)
		if taken || err != nil {
			return err
		}
		var again *clash
		switch err := s.spawn(ctx, listen); {
		case !errors.As(err, &again):
			return err
		case time.Since(begun) > clashing:
			return again
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), again)
		}
	}
}

// clash is a failure to start that passes when what a killed server left behind is gone.
type clash struct{ said string }

func (c *clash) Error() string { return "what ran here before has not let go yet:\n" + c.said }

const beingWritten = "the pid file of Postgres holds nothing yet: waiting for the process that may be writing it"

// adopt takes a server over that runs on our data. The lock is ours, so no other process looks after it. One that is about to
// end is waited for; a pid file of no process is made harmless.
func (s *Server) adopt(ctx context.Context) (taken bool, err error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	pm, err := readPostmaster(s.data)
	if errors.Is(err, errTorn) {
		s.cfg.Logger.DebugContext(ctx, beingWritten)
	}
	for begun := time.Now(); errors.Is(err, errTorn) && time.Since(begun) < torn && ctx.Err() == nil; <-tick.C {
		pm, err = readPostmaster(s.data)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil || !serves(pm.pid, s.data):
		return false, disown(s.data, s.acct)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for serves(pm.pid, s.data) {
		// Its supervisor may be dying this moment: the signal that ends it is sent when it gets a new parent.
		orphaned := s.lock.Former() == 0 || parent(pm.pid) != s.lock.Former() || s.lock.Former() == os.Getpid()
		if now, err := readPostmaster(s.data); err == nil && orphaned && now.pid == pm.pid && now.status == "ready" {
			addr, err := loopback(net.JoinHostPort(now.host, now.port))
			if err != nil {
				return false, fmt.Errorf("process %d runs on %s: %w", pm.pid, s.data, err)
			}
			err = s.check(ctx, addr)
			if err == nil {
				s.cfg.Logger.InfoContext(ctx, "took over a running Postgres", "pid", pm.pid, "address", addr)
				s.running(follow(now, s.data), addr)
				return true, nil
			}
			if errors.Is(err, ErrPassword) {
				return false, err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false, fmt.Errorf("process %d runs on %s and does not answer: %w", pm.pid, s.data, ctx.Err())
		}
	}
	return false, nil
}

// spawn starts a new server at listen and waits until it answers.
func (s *Server) spawn(ctx context.Context, listen string) error {
	addr, err := s.choose(ctx, listen)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	args := []string{"-D", s.data}
	for _, setting := range s.cfg.settings(host, port) {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(s.bin.tool("postgres"), args...) //nolint:gosec,noctx // it ends by stop, not with a context
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.data, environment(), attributes(s.acct)
	p, err := spawn(cmd, s.cfg.Logger, s.panicked)
	if err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	if err = s.ready(ctx, p); err == nil {
		err = s.check(ctx, addr)
	}
	if err != nil {
		p.stop(patience)
		return err
	}
	s.running(p, addr)
	return nil
}

// choose picks a port where any will do, and refuses a taken one before Postgres does, whose message has no code.
// Between this and Postgres' own bind it can yet be taken; that is a clash. So is a taken port at a restart: the
// address must not change.
func (s *Server) choose(ctx context.Context, listen string) (addr string, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	switch {
	case err != nil && listen == s.Addr():
		return "", &clash{err.Error()}
	case err != nil:
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready waits until the server says in its pid file that it is.
func (s *Server) ready(ctx context.Context, p *process) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if pm, err := readPostmaster(s.data); err == nil && pm.pid == p.pid && pm.status == "ready" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w\n%s", ctx.Err(), p.log.text())
		case <-p.done:
			said := p.log.text()
			for _, passing := range []string{"lock file", "pre-existing shared memory", "could not create any TCP/IP sockets"} {
				if strings.Contains(said, passing) {
					return &clash{said}
				}
			}
			return fmt.Errorf("the server ended (%w):\n%s", p.err, said)
		}
	}
}

// check connects as superuser, and makes the database at the first time.
func (s *Server) check(ctx context.Context, addr string) error {
	for {
		conn, err := pgx.Connect(ctx, s.url(addr, database))
		if err == nil {
			return conn.Close(ctx)
		}
		var refused *pgconn.PgError
		if !errors.As(err, &refused) {
			return err
		}
		switch refused.Code {
		case "28P01":
			return fmt.Errorf("%w: %s is not the file it was made with", ErrPassword, s.cfg.PasswordFile)
		case "3D000":
			if err := s.createDatabase(ctx, addr); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func (s *Server) createDatabase(ctx context.Context, addr string) error {
	conn, err := pgx.Connect(ctx, s.url(addr, "postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err = conn.Exec(ctx, "create database "+database); err != nil {
		return fmt.Errorf("create database %s: %w", database, err)
	}
	return nil
}
