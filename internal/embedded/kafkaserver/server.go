package kafkaserver

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace"
	"github.com/daybook-dev/daybook/internal/filelock"
)

// Config says where the broker keeps its log and where it listens. Only Dir must be given.
type Config struct {
	// Dir is the broker's own directory, made if absent. What an earlier run left in it is deleted.
	Dir string
	// Listen is the address to listen on; default 127.0.0.1:0, a free port.
	Listen string
	// Advertise is what clients connect to; default the address listened on.
	Advertise string
	// MaxFrame is the size of the largest request, in bytes; default 16 MiB.
	MaxFrame int
	// MaxConnections is how many clients may be connected; default 1,000.
	MaxConnections int
	// MinFree is how many bytes the disk must have left for Health to be nil; default 16 MiB. Records are taken as long as they
	// can be written.
	MinFree uint64
	// RetentionEvery is how often records past their topic's retention are deleted; default 30 s.
	RetentionEvery time.Duration

	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: none
}

func (c *Config) defaults() error {
	if c.Dir == "" {
		return errors.New("embedded Kafka broker: no directory given")
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.MaxFrame <= 0 {
		c.MaxFrame = 16 << 20
	}
	if c.MaxConnections <= 0 {
		c.MaxConnections = 1000
	}
	if c.MinFree == 0 {
		c.MinFree = 16 << 20
	}
	if c.RetentionEvery <= 0 {
		c.RetentionEvery = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Server is a running broker.
type Server struct {
	addr      string
	clusterID string
	cluster   *kfake.Cluster
	listener  *listener
	lock      *filelock.Lock
	space     *diskspace.Guard
	stop      chan struct{} // closed to end the ticker
	ticking   sync.WaitGroup
	closing   sync.Once
	done      chan struct{}
}

// Start empties the broker's directory and serves until Close. ctx bounds the starting only.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	lock, err := own(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka broker: %w", err)
	}
	s, err := start(ctx, cfg)
	if err != nil {
		lock.Release()
		return nil, fmt.Errorf("embedded Kafka broker: %w", err)
	}
	s.lock = lock
	cfg.Logger.Info("embedded Kafka broker listens", "address", s.addr, "cluster", s.clusterID)
	return s, nil
}

func start(ctx context.Context, cfg Config) (*Server, error) {
	logDir := filepath.Join(cfg.Dir, "log") // ours alone: nothing else in Dir is touched
	if err := os.RemoveAll(logDir); err != nil {
		return nil, fmt.Errorf("emptying its directory: %w", err)
	}
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return nil, fmt.Errorf("making its directory: %w", err)
	}
	tcp, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	s := &Server{clusterID: randomClusterID(), stop: make(chan struct{}), done: make(chan struct{})}
	s.listener, err = guard(tcp, cfg)
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	s.addr = s.listener.Addr().String()
	s.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID(s.clusterID),
		kfake.DataDir(logDir),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return s.listener, nil }),
		kfake.MaxVersions(served()),
		kfake.WithLogger(kfakeLog{cfg.Logger}),
		// Takeovers wait for a dead member's session: let clients ask for a short one. A group is joined at once when
		// all its members have rejoined; there is no initial delay to tune away.
		kfake.GroupMinSessionTimeout(250*time.Millisecond),
	)
	if err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("starting on %s: %w", s.addr, err)
	}
	s.space = diskspace.New(diskspace.Config{Dir: cfg.Dir, MinFree: cfg.MinFree, Logger: cfg.Logger})
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.ticking.Go(func() { s.space.Run(watching) })
	s.ticking.Go(func() { defer cancel(); s.applyRetention(cfg.RetentionEvery) })
	return s, nil
}

// Addr is the broker's address, as clients see it.
func (s *Server) Addr() string { return s.addr }

// ClusterID is random: it is another one after each start.
func (s *Server) ClusterID() string { return s.clusterID }

// Done is closed when the broker has stopped. It does so by Close only.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is what ended the broker; nil after Close.
func (s *Server) Err() error { return nil }

// Health is nil while there is space for records.
func (s *Server) Health() error { return s.space.Err() }

// Close stops serving, cuts all connections and gives the directory up.
func (s *Server) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		s.ticking.Wait() // the cluster would wait without end for a call that comes after its end
		s.cluster.Close()
		s.listener.closeAll()
		s.lock.Release()
		close(s.done)
	})
	<-s.done
	return nil
}

func (s *Server) applyRetention(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.cluster.ApplyRetention()
		}
	}
}

// randomClusterID has the form of Kafka's own: 16 bytes in URL base64.
func randomClusterID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// kfakeLog passes kfake's warnings on.
type kfakeLog struct{ to *slog.Logger }

func (l kfakeLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.to.Error(fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.to.Warn(fmt.Sprintf(format, args...))
	}
}

// own takes a broker's directory for this process.
func own(dir string) (*filelock.Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making its directory: %w", err)
	}
	path := filepath.Join(dir, "lock")
	lock, err := filelock.Try(path)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("process %d already runs one on %s", filelock.Holder(path), dir)
	}
	return lock, err
}
