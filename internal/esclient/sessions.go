package esclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/kit/es"
)

// sessions hands out the official client, and replaces it when a call shows that its connection has failed.
// That client hands its connections out through a goroutine that can be busy for long, or gone, and asking it does not
// honour contexts: so only one probe asks at first, and callers wait for the probe.
type sessions struct {
	conf    *esdb.Configuration
	log     *slog.Logger
	metrics *metrics
	connect func(context.Context) (conn, error)

	mu      sync.Mutex
	current *session
	closed  bool
}

type session struct {
	owner  *sessions
	client *esdb.Client
	ready  chan struct{} // closed when the probe knows
	err    error         // of the probe
	caught bool          // the server says when a subscription has caught up

	dialling sync.Mutex
	conn     conn

	users   int  // the client is closed when none is left: closing it under a call panics
	retired bool // no new users
}

func newSessions(cfg Config, conf *esdb.Configuration, m *metrics, connect func(context.Context) (conn, error)) *sessions {
	return &sessions{conf: conf, log: cfg.Logger, metrics: m, connect: connect}
}

const retryConnecting = 100 * time.Millisecond

// acquire gives a connected session, to be released.
func (o *sessions) acquire(ctx context.Context) (*session, error) {
	for {
		s, err := o.take()
		if err != nil {
			return nil, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			s.release()
			return nil, fmt.Errorf("%w: %w", es.ErrUnavailable, ctx.Err())
		}
		if s.err == nil {
			return s, nil
		}
		s.retire()
		s.release()
		select {
		case <-time.After(retryConnecting):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w: %w", es.ErrUnavailable, ctx.Err(), s.err)
		}
	}
}

func (o *sessions) take() (*session, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, fmt.Errorf("%w: %w", es.ErrUnavailable, errClosed)
	}
	if o.current == nil {
		conf := *o.conf // the client keeps what it is given
		client, err := esdb.NewClient(&conf)
		if err != nil {
			return nil, fmt.Errorf("event store client: %w", err)
		}
		o.current = &session{owner: o, client: client, ready: make(chan struct{}), users: 1}
		go o.current.probe()
	}
	o.current.users++
	return o.current, nil
}

// probe makes the client connect.
func (s *session) probe() {
	defer s.release()
	v, err := s.client.GetServerVersion()
	if s.err = err; err == nil {
		s.caught = v.Major > 23 || v.Major == 23 && v.Minor >= 10
		s.owner.metrics.connected("read")
	}
	close(s.ready)
}

func (s *session) release() {
	s.owner.mu.Lock()
	s.users--
	last := s.retired && s.users == 0
	s.owner.mu.Unlock()
	if !last {
		return
	}
	_ = s.client.Close()
	s.dialling.Lock()
	defer s.dialling.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// retire makes the next caller connect anew.
func (s *session) retire() {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	s.retired = true
	if s.owner.current == s {
		s.owner.current = nil
	}
}

func (o *sessions) close() {
	o.mu.Lock()
	o.closed = true
	s := o.current
	if s != nil {
		s.users++
	}
	o.mu.Unlock()
	if s != nil {
		s.retire()
		s.release()
	}
}

// broken tells whether an error says that the client's connection is of no use.
func broken(err error) bool {
	e, ok := errors.AsType[*esdb.Error](err)
	if !ok {
		return transient(err)
	}
	switch e.Code() {
	case esdb.ErrorUnavailable, esdb.ErrorCodeConnectionClosed, esdb.ErrorCodeNotLeader, esdb.ErrorAborted:
		return true
	case esdb.ErrorCodeUnknown: // anything gRPC has no better word for
		return transient(e.Err())
	}
	return false
}
