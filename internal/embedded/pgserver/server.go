package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace"
	"github.com/daybook-dev/daybook/internal/filelock"
)

// Server is a running Postgres. If it dies it is started again, at the same address.
type Server struct {
	cfg      Config
	bin      binaries
	acct     account
	data     string
	password string
	lock     *filelock.Lock
	space    *diskspace.Guard

	life   context.Context //nolint:containedctx // ends with Close
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done is closed

	mu   sync.Mutex
	proc *process
	addr string // the same from the first start on
}

// ErrPassword says that the data was made with another password than the one in Config.PasswordFile. SetPassword helps.
var ErrPassword = errors.New("the embedded Postgres does not know this password")

const (
	patience = 60 * time.Second // for a clean shutdown, and for a restart, before something harder
	clashing = 15 * time.Second // for what a killed server left behind to go away
	torn     = 2 * time.Second  // for a pid file to be more than begun: Postgres makes it, and then writes it at once
)

// Start gives a server that accepts connections. ctx bounds the start alone: a recovery after a crash, an initdb or a
// download may take their time. Errors: ErrInUse, ErrPassword, ErrCorrupt, syscall.EADDRINUSE for a taken port.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := hold(cfg)
	if err != nil {
		return nil, err
	}
	cfg = s.cfg
	s.space = diskspace.New(diskspace.Config{Dir: cfg.Dir, MinFree: cfg.MinFree, Reserve: cfg.Reserve, Low: s.readOnly, Logger: cfg.Logger})
	s.life, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.begin(ctx); err != nil {
		s.cancel()
		s.lock.Release()
		return nil, fmt.Errorf("start Postgres in %s: %w", cfg.Dir, err)
	}
	watching := make(chan struct{})
	go func() { defer close(watching); s.space.Run(s.life) }()
	go s.supervise(watching) //nolint:contextcheck // ctx is the start's alone
	return s, nil
}

// hold gives a server that does not run yet and whose directory is locked.
func hold(cfg Config) (*Server, error) {
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
	lock := filepath.Join(cfg.Dir, "lock")
	switch s.lock, err = filelock.Try(lock); {
	case errors.Is(err, filelock.ErrHeld):
		return nil, fmt.Errorf("%s: %w (process %d)", cfg.Dir, ErrInUse, filelock.Holder(lock))
	case err != nil:
		return nil, err
	}
	return s, nil
}

// Addr is host:port. It stays the same for the server's life.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// URL connects to the database as the role that owns it and all that is in it, and is no superuser. The password is in the file
// that it names.
func (s *Server) URL() string {
	u := url.URL{
		Scheme: "postgres", User: url.User(owner), Host: s.Addr(), Path: "/" + database,
		RawQuery: "sslmode=disable&passfile=" + strings.ReplaceAll(url.QueryEscape(s.cfg.OwnerFile), "+", "%20"),
	}
	return u.String()
}

// SuperuserURL connects as superuser. The supervisor uses it, and tests that do what no part of a program may.
func (s *Server) SuperuserURL() string { return s.url(s.Addr(), database) }

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

func (s *Server) url(addr, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: addr,
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
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

// supervise starts Postgres again when it dies, until Close. A full disk is waited out.
func (s *Server) supervise(watching <-chan struct{}) {
	defer close(s.done)
	defer func() { s.cancel(); <-watching }()
	defer s.lock.Release()
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
		err := s.restart()
		switch {
		case err != nil && s.life.Err() != nil:
			return
		case err != nil:
			s.err = fmt.Errorf("embedded Postgres died and would not start again: %w", err)
			return
		}
	}
}
