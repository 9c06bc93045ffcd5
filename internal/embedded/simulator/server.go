package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace"
	"github.com/daybook-dev/daybook/internal/filelock"
)

// Config of a simulator. Dir is needed, everything else has a default.
type Config struct {
	Dir         string                // of the ledger; made if absent, used by one simulator at a time
	Listen      string                // "127.0.0.1:0" if empty
	HostNames   []string              // by which it is called, besides localhost
	KeyLifetime time.Duration         // how long an idempotency key is remembered; 24 h if 0
	Now         func() time.Time      // time.Now if nil
	Logger      *slog.Logger          // slog.Default() if nil
	Registerer  prometheus.Registerer // none if nil
}

// Server is a running simulator.
type Server struct {
	cfg        Config
	log        *slog.Logger
	now        func() time.Time
	book       *book
	ledger     *ledger
	lock       *filelock.Lock
	space      *diskspace.Guard
	listener   net.Listener
	http       *http.Server
	operations *prometheus.CounterVec

	stop   chan struct{}
	ending sync.Once
	done   chan struct{}
	err    error // read after done
}

// Start reads the ledger and serves until Close.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Dir == "" {
		return nil, errors.New("start the payment simulator: no directory")
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.KeyLifetime == 0 {
		cfg.KeyLifetime = 24 * time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger.With("part", "payment simulator"),
		now:  func() time.Time { return cfg.Now().UTC().Truncate(time.Microsecond) },
		stop: make(chan struct{}), done: make(chan struct{}),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daybook_simulator_operations_total", Help: "Operations in the payment simulator's ledger since it started.",
		}, []string{"kind", "result"}),
	}
	s.book = newBook(s.log)
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("start the payment simulator: %w", err)
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go s.space.Run(watching)
	go func() { defer cancel(); <-s.done }()
	go s.serve() //nolint:gosec // it serves beyond its start
	return s, nil
}

func (s *Server) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	switch s.lock, err = filelock.Try(filepath.Join(s.cfg.Dir, "LOCK")); {
	case errors.Is(err, filelock.ErrHeld):
		return fmt.Errorf("one is already running on %s", s.cfg.Dir)
	case err != nil:
		return err
	}
	if s.ledger, err = openLedger(s.cfg.Dir, s.log, s.book.apply); err != nil {
		s.lock.Release()
		return err
	}
	s.book.read = s.ledger.read
	s.space = diskspace.New(diskspace.Config{Dir: s.cfg.Dir, MinFree: minFree, Logger: s.log})
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", s.cfg.Listen); err == nil && s.cfg.Registerer != nil {
		err = s.cfg.Registerer.Register(s.operations)
	}
	if err != nil {
		if s.listener != nil {
			err = errors.Join(err, s.listener.Close())
		}
		err = errors.Join(err, s.ledger.close())
		s.lock.Release()
		return err
	}
	s.http = &http.Server{
		Handler: s.guard().At(s.listener).In(s.routes()), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return nil
}

// minFree is what the disk must have left for the simulator to be well. Charges are kept as long as they fit.
const minFree = 1 << 20

// Health is nil while there is space for charges.
func (s *Server) Health() error { return s.space.Err() }

// serve ends when Close is called, or when the ledger or the listener fails.
func (s *Server) serve() {
	defer close(s.done)
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(s.listener) }()
	select {
	case <-s.stop:
	case <-s.ledger.ended:
		s.err = s.ledger.err
	case s.err = <-ended:
		s.err = fmt.Errorf("serve the payment simulator: %w", s.err)
	}
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	if err := s.ledger.close(); s.err == nil {
		s.err = err
	}
	s.lock.Release()
	if s.cfg.Registerer != nil {
		s.cfg.Registerer.Unregister(s.operations)
	}
}

func (s *Server) end() { s.ending.Do(func() { close(s.stop) }) }

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is where clients find it.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Done is closed when the server has ended, by itself or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says why it ended by itself; nil before Done and after an orderly Close.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close ends every request, unanswered if it is a silent or a slow one, and closes the ledger.
func (s *Server) Close() error {
	s.end()
	<-s.done
	return s.err
}

func (s *Server) count(a Answer) {
	s.operations.WithLabelValues(string(a.Kind), string(a.Result)).Inc()
}
