package eventserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	proto "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"

	"github.com/daybook-dev/daybook/internal/eventserver/access"
	"github.com/daybook-dev/daybook/internal/eventserver/persistent"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// Server is a running event store.
type Server struct {
	cfg       Config
	store     *store.Store
	grpc      *grpc.Server
	gossip    *gossiper
	groups    *groups
	users     *access.Directory
	scavenges *scavenges
	access    *access.Control // nil: an insecure server
	budget    *semaphore.Weighted
	metrics   []prometheus.Collector
	started   time.Time
	lis       net.Listener
	memory    *bufconn.Listener

	locals sync.WaitGroup  // calls from within the process
	ctx    context.Context // ends when the server closes
	cancel context.CancelFunc

	done      chan struct{}
	closeOnce sync.Once
	mu        sync.Mutex
	err       error
}

// Start opens the data directory and serves it until Close. The context bounds the starting only.
func Start(ctx context.Context, cfg Config) (started *Server, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, started: time.Now(), budget: semaphore.NewWeighted(appendBudget), memory: bufconn.Listen(1 << 20), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			s.cancel()
			s.unregister()
		}
	}()
	if cfg.Registerer != nil {
		if cfg.Store.Metrics, err = store.NewMetrics(cfg.Registerer); err != nil {
			return nil, fmt.Errorf("register the event store server's metrics: %w", err)
		}
		s.metrics = cfg.Store.Metrics.Collectors()
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("event store server: %w", err)
	}
	all := []net.Listener{s.memory, lis}
	if cfg.Socket != "" {
		socket, err := (&net.ListenConfig{}).Listen(ctx, "unix", cfg.Socket)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("event store server: %w", err), lis.Close())
		}
		all = append(all, socket)
	}
	st, err := store.Open(cfg.Store)
	if err != nil {
		return nil, errors.Join(err, closeAll(all))
	}
	s.lis, s.store = lis, st
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, st.Close(), closeAll(all))
	}
	s.grpc = grpc.NewServer(s.options()...)
	s.register()
	for _, l := range all {
		go s.serve(l)
	}
	cfg.Logger.Info("event store server started", "addr", s.Addr(), "dir", cfg.Dir, "incarnation", st.Incarnation())
	return s, nil
}

func closeAll(all []net.Listener) error {
	var errs []error
	for _, l := range all {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// prepare makes what the services need. The groups come last: they begin to work at once.
func (s *Server) prepare(ctx context.Context) error {
	instance, err := wire.ParseUUID(s.store.Incarnation())
	if err != nil {
		return fmt.Errorf("event store server: incarnation: %w", err)
	}
	if s.gossip, err = newGossiper(s.cfg, s.Addr(), instance); err != nil {
		return err
	}
	if err := s.secure(ctx); err != nil {
		return err
	}
	s.scavenges = &scavenges{s: s}
	s.groups = &groups{s: s}
	s.groups.m, err = persistent.NewManager(s.store, s.cfg.Logger, s.target)
	if err != nil || s.cfg.Registerer == nil {
		return err
	}
	c := newCollector(s)
	if err := s.cfg.Registerer.Register(c); err != nil {
		s.groups.m.Close()
		return fmt.Errorf("register the event store server's metrics: %w", err)
	}
	s.metrics = append(s.metrics, c)
	return nil
}

// unregister lets another server use the same registry later.
func (s *Server) unregister() {
	for _, c := range s.metrics {
		s.cfg.Registerer.Unregister(c)
	}
}

const window = 1 << 20 // static HTTP/2 windows: growing ones cost allocations

func (s *Server) options() []grpc.ServerOption {
	o := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(s.recoverUnary), grpc.ChainStreamInterceptor(s.recoverStream),
		grpc.ForceServerCodecV2(wire.NewCodec()),
		grpc.WaitForHandlers(true),                          // calls read the store, which is closed after them
		grpc.MaxRecvMsgSize(4*s.cfg.MaxAppendBytes + 1<<20), // what is too large for an append is still read, to answer it
		grpc.MaxSendMsgSize(1 << 30),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(4 * window),
		grpc.MaxConcurrentStreams(10_000),
		// The official clients ping every 10 s, also when idle.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	}
	if s.access != nil {
		o = append(o, grpc.Creds(credentials.NewTLS(s.cfg.TLS)), grpc.ChainUnaryInterceptor(s.authenticateUnary),
			grpc.ChainStreamInterceptor(s.authenticateStream))
	}
	return o
}

func (s *Server) register() {
	s.grpc.RegisterService(streamsDesc(s), nil)
	s.grpc.RegisterService(monitoringDesc(s), nil)
	s.grpc.RegisterService(usersDesc(s), nil)
	s.grpc.RegisterService(operationsDesc(s), nil)
	proto.RegisterPersistentSubscriptionsServer(s.grpc, s.groups)
	gossip.RegisterGossipServer(s.grpc, s.gossip)
	serverfeatures.RegisterServerFeaturesServer(s.grpc, &features{})
	s.grpc.RegisterService(administrationDesc(s), nil)
}

func (s *Server) serve(lis net.Listener) {
	if err := s.grpc.Serve(lis); err != nil && s.ctx.Err() == nil {
		s.mu.Lock()
		s.err = fmt.Errorf("event store server: %w", err)
		s.mu.Unlock()
		go s.Close() //nolint:errcheck // Err tells
	}
}

// Addr is the TCP address served, host:port.
func (s *Server) Addr() string { return s.lis.Addr().String() }

// ConnectionString is what the official clients connect with; a secured server's callers add a user's name and password.
func (s *Server) ConnectionString() string {
	return fmt.Sprintf("esdb://%s?tls=%t", s.Addr(), s.cfg.TLS != nil)
}

// Dial connects within the process, without a socket: for grpc.WithContextDialer.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return s.memory.DialContext(ctx) }

// Incarnation identifies the history served.
func (s *Server) Incarnation() string { return s.store.Incarnation() }

// Done is closed when the server has ended, by Close or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil, or why the server ended by itself, or why it takes no more appends until started again.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return s.store.Err()
}

// Close ends all calls and closes the data directory. What was acknowledged is kept; appends under way are written or not.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock() // against a call from within the process that is just beginning
		s.cancel()
		s.mu.Unlock()
		s.grpc.Stop()
		s.locals.Wait()
		s.scavenges.close()
		s.groups.m.Close()
		s.unregister()
		err := s.store.Close()
		s.mu.Lock()
		if s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
		close(s.done)
	})
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
