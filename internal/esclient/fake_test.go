package esclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/es"
)

// fake answers appends as a test's script says: what servers may answer, but ours hardly ever does.
type fake struct {
	streams.UnimplementedStreamsServer

	addr string

	mu     sync.Mutex
	script func(n int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error
	seen   [][]*streams.BatchAppendReq // appends, in frames
	opened int
	heads  []metadata.MD
}

func newFake(t testing.TB, script func(n int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: l.Addr().String(), script: script}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(4 << 20))
	streams.RegisterStreamsServer(s, f)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return f
}

func (f *fake) BatchAppend(st streams.Streams_BatchAppendServer) error {
	f.mu.Lock()
	f.opened++
	md, _ := metadata.FromIncomingContext(st.Context())
	f.heads = append(f.heads, md)
	f.mu.Unlock()
	open := map[string][]*streams.BatchAppendReq{}
	for {
		m, err := st.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		id := m.GetCorrelationId().String()
		open[id] = append(open[id], m)
		if !m.GetIsFinal() {
			continue
		}
		f.mu.Lock()
		f.seen = append(f.seen, open[id])
		n := len(f.seen)
		f.mu.Unlock()
		if err := f.script(n, open[id], st); err != nil {
			return err
		}
		delete(open, id)
	}
}

func (f *fake) appends() [][]*streams.BatchAppendReq {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// members answers gossip.
type members struct {
	gossip.UnimplementedGossipServer

	list []*gossip.MemberInfo
}

func (m members) Read(context.Context, *shared.Empty) (*gossip.ClusterInfo, error) {
	return &gossip.ClusterInfo{Members: m.list}, nil
}

func accepted(m *streams.BatchAppendReq, position uint64) *streams.BatchAppendResp {
	return &streams.BatchAppendResp{CorrelationId: m.GetCorrelationId(), Result: &streams.BatchAppendResp_Success_{Success: &streams.BatchAppendResp_Success{
		PositionOption: &streams.BatchAppendResp_Success_Position{Position: &shared.AllStreamPosition{CommitPosition: position, PreparePosition: position}}}}}
}

func refusal(m *streams.BatchAppendReq, code codes.Code, detail proto.Message) *streams.BatchAppendResp {
	a, err := anypb.New(detail)
	if err != nil {
		panic(err)
	}
	return &streams.BatchAppendResp{CorrelationId: m.GetCorrelationId(), Result: &streams.BatchAppendResp_Error{Error: &rpcstatus.Status{
		Code: int32(code), Message: "because", Details: []*anypb.Any{a}}}}
}

func (f *fake) open(t testing.TB, cfg esclient.Config) *esclient.Client {
	t.Helper()
	cfg.ConnectionString = "esdb://" + f.addr + "?tls=false"
	c, err := esclient.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func try(t testing.TB, c *esclient.Client, patience time.Duration) (uint64, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return c.Append(ctx, stream(0), es.NoStream, event(0, 0))
}
