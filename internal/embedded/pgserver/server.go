package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// Server is a running Postgres. If it dies it is started again, at the same address.
type Server struct {
	cfg      Config
	bin      binaries
	acct     account
	data     string
	password string
	lock     *dirLock

	life   context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done is closed

	mu   sync.Mutex
	proc *process
	addr string // the same from the first start on
}

// ErrPassword: the data was made with another password than the one in Config.PasswordFile.
var ErrPassword = errors.New("the embedded Postgres does not know this password")

const (
	patience = 60 * time.Second // for a clean shutdown, and for a restart, before something harder
	clashing = 15 * time.Second // for what a killed server left behind to go away
)

// Start gives a server that accepts connections. ctx bounds the start alone: a recovery after a crash, an initdb or a
// download may take their time. Errors: ErrInUse, ErrPassword, ErrCorrupt, syscall.EADDRINUSE for a taken port.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, done: make(chan struct{})}
	if s.acct, err = whoRuns(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil { //nolint:gosec // the data in it is 0700
		return nil, fmt.Errorf("directory of Postgres: %w", err)
	}
	if s.lock, err = lockDir(cfg.Dir); err != nil {
		return nil, err
	}
	s.life, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.begin(ctx); err != nil {
		s.cancel()
		s.lock.release()
		return nil, fmt.Errorf("start Postgres in %s: %w", cfg.Dir, err)
	}
	go s.supervise()
	return s, nil
}

func (s *Server) begin(ctx context.Context) error {
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
	if err := errors.Join(s.acct.admit(dir), s.acct.reaches(s.bin.dir)); err != nil {
		return err
	}
	if err := makeData(ctx, s.cfg, s.bin, s.acct, s.password, s.data); err != nil {
		return err
	}
	return s.run(ctx, s.cfg.Listen)
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

// adopt takes a server over that runs on our data. The lock is ours, so nobody looks after it. One that is about to
// end is waited for; a pid file that nobody stands behind is made harmless.
func (s *Server) adopt(ctx context.Context) (taken bool, err error) {
	pm, err := readPostmaster(s.data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil || !serves(pm.pid, s.data):
		return false, disown(s.data, s.acct)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for serves(pm.pid, s.data) {
		// Its supervisor may be dying this moment: the signal that ends it is sent when it gets a new parent.
		orphaned := s.lock.former == 0 || parent(pm.pid) != s.lock.former || s.lock.former == os.Getpid()
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
	addr, err := s.choose(listen)
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
	p, err := spawn(cmd, s.cfg.Logger)
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
func (s *Server) choose(listen string) (addr string, err error) {
	l, err := net.Listen("tcp", listen)
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

// check connects as everybody will, and makes the database at the first time.
func (s *Server) check(ctx context.Context, addr string) error {
	for {
		conn, err := pgx.Connect(ctx, s.url(addr, superuser))
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
	if _, err = conn.Exec(ctx, "create database "+superuser); err != nil {
		return fmt.Errorf("create database %s: %w", superuser, err)
	}
	return nil
}

// supervise starts Postgres again when it dies, until Close.
func (s *Server) supervise() {
	defer close(s.done)
	defer s.lock.release()
	pause := time.Duration(0)
	for {
		p, since := s.process(), time.Now()
		select {
		case <-p.done:
		case <-s.life.Done():
			p.stop(patience)
			return
		}
		if pause = min(2*pause+50*time.Millisecond, 2*time.Second); time.Since(since) > 10*time.Second {
			pause = 0
		}
		s.cfg.Logger.Warn("Postgres died; starting it again", "pid", p.pid, "error", p.err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-s.life.Done():
			return
		}
		ctx, cancel := context.WithTimeout(s.life, patience)
		err := s.run(ctx, s.Addr())
		cancel()
		switch {
		case err != nil && s.life.Err() != nil:
			return
		case err != nil:
			s.err = fmt.Errorf("embedded Postgres died and would not start again: %w", err)
			return
		}
	}
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

func (s *Server) running(p *process, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc, s.addr = p, addr
}

// Addr is host:port. It stays the same for the server's life.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// URL connects as superuser to the database daybook.
func (s *Server) URL() string { return s.url(s.Addr(), superuser) }

func (s *Server) url(addr, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: addr,
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Version is what runs, "15.14", and where it was found.
func (s *Server) Version() string { return fmt.Sprintf("%s (%s)", s.bin.version, s.bin.dir) }

// PID is the postmaster's at this moment.
func (s *Server) PID() int { return s.process().pid }

// Done is closed when Postgres has ended for good: by Close, or because it would not start again.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says why, once Done is closed: nil after Close.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close ends Postgres by a fast shutdown: sessions are ended, nothing committed is lost, the next start is a warm one.
func (s *Server) Close() error {
	s.cancel()
	<-s.done
	return s.err
}
