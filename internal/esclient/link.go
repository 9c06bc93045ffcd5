package esclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/beat"
)

// link keeps the append streams up. Each epoch is one connection, replaced as a whole.
type link struct {
	conf         *esdb.Configuration
	local        Caller // instead of any address; may be nil
	socket       string // instead of the address; may be empty
	log          *slog.Logger
	metrics      *metrics
	stallAfter   time.Duration
	small, large *pipe
	leader       atomic.Pointer[string] // that a node named when it was not the leader itself
}

func newLink(cfg Config, conf *esdb.Configuration, m *metrics) *link {
	room := semaphore.NewWeighted(int64(cfg.InFlight))
	return &link{
		conf: conf, local: cfg.Local, socket: cfg.Socket, log: cfg.Logger, metrics: m, stallAfter: cfg.StallAfter,
		small: newPipe(room), large: newPipe(room),
	}
}

var (
	errClosed = errors.New("the client is closed")
	errStall  = errors.New("the server gives no answers")
)

// run lasts until ctx ends.
func (l *link) run(ctx context.Context) {
	again, tries := backoff.Policy{First: 20 * time.Millisecond, Most: 500 * time.Millisecond}, 0
	down := false
	for ctx.Err() == nil {
		var up time.Time
		err := l.epoch(ctx, func() {
			up = time.Now()
			l.metrics.connected("append")
			if down {
				l.log.Info("appending to the event store again")
			}
		})
		if ctx.Err() != nil {
			break
		}
		if !up.IsZero() {
			down = false
		}
		if !down {
			l.log.Warn("no append connection to the event store", "error", err)
			down = true
		}
		fatal := err
		if transient(err) {
			fatal = nil
		}
		l.small.reset(fatal)
		l.large.reset(fatal)
		if !up.IsZero() && (time.Since(up) > time.Second || l.small.answered() || l.large.answered()) {
			tries = 0
		}
		tries++
		_ = again.Wait(ctx, tries)
	}
	l.small.close(errClosed)
	l.large.close(errClosed)
}

// epoch connects, and carries calls until something fails.
func (l *link) epoch(ctx context.Context, up func()) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(toLeader(ctx))
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	var opened []grpc.ClientStream
	desc := &streams.Streams_ServiceDesc.Streams[batchAppend()]
	for range 2 {
		st, err := conn.NewStream(ctx, desc, streams.Streams_BatchAppend_FullMethodName, grpc.ForceCodecV2(codec{}))
		if err != nil {
			return fmt.Errorf("open append stream: %w", err)
		}
		opened = append(opened, st)
	}
	up()
	for i, p := range []*pipe{l.small, l.large} {
		p.begin()
		g.Go(func() error { return p.send(ctx, opened[i]) })
		g.Go(func() error { return l.received(p.receive(opened[i]), opened[i]) })
	}
	g.Go(func() error { return l.watch(ctx) })
	return g.Wait()
}

// batchAppend is the method's index among the service's streams.
func batchAppend() int {
	for i, d := range streams.Streams_ServiceDesc.Streams {
		if d.StreamName == "BatchAppend" {
			return i
		}
	}
	panic("the client's protocol has no BatchAppend")
}

// received looks at how a stream ended: a node that is not the leader may name it.
func (l *link) received(err error, st grpc.ClientStream) error {
	trailer := st.Trailer()
	if first(trailer, "exception") == "not-leader" {
		if host, port := first(trailer, "leader-endpoint-host"), first(trailer, "leader-endpoint-port"); host != "" && port != "" {
			leader := net.JoinHostPort(host, port)
			l.leader.Store(&leader)
		}
		return status.Error(codes.Unavailable, "not the leader")
	}
	if errors.Is(err, io.EOF) {
		return status.Error(codes.Unavailable, "the server ended the stream")
	}
	return err
}

func first(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// watch ends the epoch when the server has gone silent: a half-open connection shows no other sign for long.
func (l *link) watch(ctx context.Context) error {
	for {
		if err := beat.Wait(ctx, max(l.stallAfter/10, time.Millisecond)); err != nil {
			return err
		}
		if l.small.stalled(l.stallAfter) || l.large.stalled(l.stallAfter) {
			return fmt.Errorf("%w for %v", errStall, l.stallAfter)
		}
	}
}

// transient tells whether trying again can help.
func transient(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted, codes.Unimplemented,
		codes.FailedPrecondition, codes.NotFound, codes.OutOfRange, codes.DataLoss, codes.AlreadyExists:
		return false
	}
	return true
}
