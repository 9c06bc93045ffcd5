package eventserver

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// Local opens calls of the server from within its process: the same messages as over a network, encoded, and the same
// rules, without HTTP/2 between the two. It is for clients that bring their own codec: each of its buffers must hold whole fields,
// and those of a BatchAppend's message must stay as they are until it is answered.
type Local struct{ s *Server }

// Local gives the connection within the process. It needs no closing.
func (s *Server) Local() *Local { return &Local{s} }

// NewStream begins a call of the Streams service, as grpc.ClientConnInterface has it. Of the options it heeds
// grpc.ForceCodecV2, which it needs.
func (l *Local) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	c := &localCall{}
	for _, o := range opts {
		if o, ok := o.(grpc.ForceCodecV2CallOption); ok {
			c.codec = o.CodecV2
		}
	}
	handle := l.s.localHandler(method)
	if handle == nil || c.codec == nil {
		return nil, status.Errorf(codes.Unimplemented, "within the process there is no %s", method)
	}
	if !l.s.enter() {
		return nil, status.Error(codes.Unavailable, "the event store server is closed")
	}
	ctx, c.cancel = context.WithCancelCause(ctx)
	c.ctx, c.up, c.down = ctx, newLane(), newLane()
	md, _ := metadata.FromOutgoingContext(ctx)
	of := &localServed{c: c, ctx: metadata.NewIncomingContext(ctx, md), codec: wire.NewCodec()}
	closing := context.AfterFunc(l.s.ctx, func() { c.cancel(errServerClosed) })
	go func() {
		defer l.s.locals.Done()
		defer closing()
		err := handle(of)
		c.up.end(io.EOF) // the client no longer reads
		if cause := context.Cause(ctx); errors.Is(cause, errServerClosed) {
			err = cause
		}
		c.down.end(ended(err))
	}()
	return c, nil
}

var errServerClosed = status.Error(codes.Unavailable, "the event store server is closing")

// ended is what a client gets when its call's handler has returned.
func ended(err error) error {
	switch {
	case err == nil:
		return io.EOF
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return status.Convert(err).Err()
}

// enter counts a call, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.locals.Add(1)
	return true
}

// localHandler is a method's handler behind the same interceptors as over a network.
func (s *Server) localHandler(method string) func(grpc.ServerStream) error {
	name, ok := strings.CutPrefix(method, "/"+streamsService+"/")
	if !ok {
		return nil
	}
	for _, d := range streamsDesc(s).Streams {
		if d.StreamName != name {
			continue
		}
		handler := d.Handler
		info := &grpc.StreamServerInfo{FullMethod: method, IsClientStream: d.ClientStreams, IsServerStream: d.ServerStreams}
		if s.access != nil {
			open := handler
			handler = func(srv any, st grpc.ServerStream) error { return s.authenticateStream(srv, st, info, open) }
		}
		return func(st grpc.ServerStream) error { return s.recoverStream(s, st, info, handler) }
	}
	return nil
}

// localCall is a call as its client sees it.
type localCall struct {
	codec    encoding.CodecV2
	ctx      context.Context //nolint:containedctx // it is the call's
	cancel   context.CancelCauseFunc
	up, down *lane

	mu      sync.Mutex
	header  metadata.MD
	trailer metadata.MD
}

// Header implements grpc.ClientStream; it does not wait for what a handler may still set.
func (c *localCall) Header() (metadata.MD, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header.Copy(), nil
}

// Trailer implements grpc.ClientStream.
func (c *localCall) Trailer() metadata.MD {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trailer.Copy()
}

// CloseSend implements grpc.ClientStream.
func (c *localCall) CloseSend() error {
	c.up.end(io.EOF)
	return nil
}

// Context implements grpc.ClientStream.
func (c *localCall) Context() context.Context { return c.ctx }

// SendMsg implements grpc.ClientStream.
func (c *localCall) SendMsg(m any) error {
	b, err := c.codec.Marshal(m)
	if err != nil {
		return status.Errorf(codes.Internal, "encode: %v", err)
	}
	return c.up.send(c.ctx, b)
}

// RecvMsg implements grpc.ClientStream.
func (c *localCall) RecvMsg(m any) error {
	b, err := c.down.receive(c.ctx)
	if err != nil {
		c.cancel(nil)
		return err
	}
	defer b.Free()
	if err := c.codec.Unmarshal(b, m); err != nil {
		return status.Errorf(codes.Internal, "decode: %v", err)
	}
	return nil
}

// localServed is a call as its handler sees it.
type localServed struct {
	c     *localCall
	ctx   context.Context //nolint:containedctx // it is the call's
	codec wire.Codec
}

// SetHeader implements grpc.ServerStream.
func (s *localServed) SetHeader(md metadata.MD) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.header = metadata.Join(s.c.header, md)
	return nil
}

// SendHeader implements grpc.ServerStream.
func (s *localServed) SendHeader(md metadata.MD) error { return s.SetHeader(md) }

// SetTrailer implements grpc.ServerStream.
func (s *localServed) SetTrailer(md metadata.MD) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.trailer = metadata.Join(s.c.trailer, md)
}

// Context implements grpc.ServerStream.
func (s *localServed) Context() context.Context { return s.ctx }

// SendMsg implements grpc.ServerStream.
func (s *localServed) SendMsg(m any) error {
	b, err := s.codec.Marshal(m)
	if err != nil {
		return status.Errorf(codes.Internal, "encode: %v", err)
	}
	return s.c.down.send(s.ctx, b)
}

// RecvMsg implements grpc.ServerStream.
func (s *localServed) RecvMsg(m any) error {
	b, err := s.c.up.receive(s.ctx)
	if err != nil {
		return err
	}
	if m, ok := m.(*wire.BatchAppendReq); ok {
		return decodePieces(b, m)
	}
	defer b.Free()
	if err := s.codec.Unmarshal(b, m); err != nil {
		return status.Errorf(codes.Internal, "decode: %v", err)
	}
	return nil
}

// decodePieces leaves an append's events where they are.
func decodePieces(b mem.BufferSlice, m *wire.BatchAppendReq) error {
	var few [4][]byte
	pieces := few[:0]
	for _, p := range b {
		pieces = append(pieces, p.ReadOnlyData())
	}
	if err := m.DecodePieces(pieces...); err != nil {
		return status.Errorf(codes.Internal, "decode: %v", err)
	}
	return nil
}

// lane carries one direction's messages, for one sender and one receiver at a time.
type lane struct {
	mu    sync.Mutex
	queue []mem.BufferSlice
	bytes int
	over  error         // behind the last message
	ready chan struct{} // of one: there is something to receive
	room  chan struct{} // of one: there may be room to send

	taken []mem.BufferSlice // the receiver's
	next  int
}

func newLane() *lane { return &lane{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)} }

// send hands a message over, or frees it. io.EOF: the other side receives no more.
func (l *lane) send(ctx context.Context, b mem.BufferSlice) error {
	for {
		l.mu.Lock()
		if l.over != nil {
			l.mu.Unlock()
			b.Free()
			return io.EOF
		}
		if l.bytes < window {
			break
		}
		l.mu.Unlock()
		select {
		case <-l.room:
		case <-ctx.Done():
			b.Free()
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	l.queue = append(l.queue, b)
	l.bytes += b.Len() + 1
	l.mu.Unlock()
	signal(l.ready)
	return nil
}

// receive gives the next message, which the receiver frees.
func (l *lane) receive(ctx context.Context) (mem.BufferSlice, error) {
	for l.next == len(l.taken) {
		clear(l.taken)
		l.mu.Lock()
		l.taken, l.queue, l.next = l.queue, l.taken[:0], 0
		l.bytes = 0
		over := l.over
		l.mu.Unlock()
		if len(l.taken) > 0 {
			signal(l.room)
			break
		}
		if over != nil {
			return nil, over
		}
		select {
		case <-l.ready:
		case <-ctx.Done():
			return nil, l.left(ctx)
		}
	}
	b := l.taken[l.next]
	l.next++
	return b, nil
}

// left is why a receiver whose context has ended gets nothing more.
func (l *lane) left(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, errServerClosed) {
		return cause
	}
	return status.FromContextError(ctx.Err()).Err()
}

// end says that no more is sent, or received.
func (l *lane) end(err error) {
	l.mu.Lock()
	if l.over == nil {
		l.over = err
	}
	l.mu.Unlock()
	signal(l.ready)
	signal(l.room)
}
