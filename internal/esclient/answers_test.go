package esclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/es"
)

// What each answer means, to the first copy sent and to a second one.
func TestAnswers(t *testing.T) {
	t.Parallel()
	unknown := &shared.Unknown{}
	for _, c := range []struct {
		name   string
		code   codes.Code
		detail proto.Message
		want   error
		after  error // if a copy before it was lost
	}{
		{"wrong revision", codes.FailedPrecondition, &shared.WrongExpectedVersion{}, es.ErrWrongRevision, es.ErrWrongRevision},
		{"wrong revision, as EventStoreDB codes it", codes.Unknown, &shared.WrongExpectedVersion{}, es.ErrWrongRevision, es.ErrWrongRevision},
		{"too large", codes.InvalidArgument, &shared.MaximumAppendSizeExceeded{}, es.ErrTooLarge, es.ErrTooLarge},
		{"disk full", codes.ResourceExhausted, unknown, es.ErrUnavailable, es.ErrUnknownOutcome},
		{"timeout", codes.DeadlineExceeded, &shared.Timeout{}, es.ErrUnknownOutcome, es.ErrUnknownOutcome},
		{"unknown", codes.Unknown, unknown, es.ErrUnknownOutcome, es.ErrUnknownOutcome},
		{"internal", codes.Internal, unknown, es.ErrUnknownOutcome, es.ErrUnknownOutcome},
		{"aborted", codes.Aborted, unknown, es.ErrUnknownOutcome, es.ErrUnknownOutcome},
		{"access denied", codes.PermissionDenied, &shared.AccessDenied{}, nil, es.ErrUnknownOutcome},
		{"deleted", codes.FailedPrecondition, &shared.StreamDeleted{}, nil, es.ErrUnknownOutcome},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check := func(lost int, want error) {
				f := newFake(t, func(n int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
					if n <= lost {
						return status.Error(codes.Unavailable, "going down") // with the append
					}
					return st.Send(refusal(frames[0], c.code, c.detail))
				})
				_, err := try(t, f.open(t, esclient.Config{}), 10*time.Second)
				if err == nil || want != nil && !errors.Is(err, want) || !errors.Is(want, es.ErrUnknownOutcome) && errors.Is(err, es.ErrUnknownOutcome) {
					t.Errorf("after %d lost copies: %v, want %v", lost, err, want)
				}
				if n := len(f.appends()); n != lost+1 {
					t.Errorf("%d copies were sent, want %d", n, lost+1)
				}
			}
			check(0, c.want)
			check(1, c.after)
		})
	}
}

// A server that takes nothing for a while is asked again; if it never does, nothing was written.
func TestServerThatTakesNothing(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(n int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		if n < 4 {
			return st.Send(refusal(frames[0], codes.Unavailable, &shared.Unknown{}))
		}
		return st.Send(accepted(frames[0], 77))
	})
	if p, err := try(t, f.open(t, esclient.Config{}), 10*time.Second); err != nil || p != 77 || f.opened > 2 {
		t.Errorf("position %d, %v; %d streams", p, err, f.opened)
	}
	never := newFake(t, func(_ int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		return st.Send(refusal(frames[0], codes.Unavailable, &shared.Unknown{}))
	})
	var err error
	for range 10 { // the time may end while a copy is under way, whose outcome is unknown then; most of it is waited between copies
		if _, err = try(t, never.open(t, esclient.Config{}), 3*time.Second); !errors.Is(err, es.ErrUnknownOutcome) {
			break
		}
	}
	if !errors.Is(err, es.ErrUnavailable) || errors.Is(err, es.ErrUnknownOutcome) {
		t.Errorf("%v", err)
	}
}

// Copies of an append carry the same events and the same expectation, and what is left of its time.
func TestCopies(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(n int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		if n < 4 {
			return status.Error(codes.Unavailable, "going down")
		}
		return st.Send(accepted(frames[0], 5))
	})
	c := f.open(t, esclient.Config{})
	events := append(event(0, 0), event(0, 1)...)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.Append(ctx, stream(0), 41, events); err != nil {
		t.Fatal(err)
	}
	left := 10 * time.Second
	ids := map[string]bool{}
	for i, frames := range f.appends() {
		m := frames[0]
		if ids[m.GetCorrelationId().String()] {
			t.Error("two copies have one correlation id: an answer to the first would do for the second")
		}
		ids[m.GetCorrelationId().String()] = true
		if m.GetOptions().GetStreamPosition() != 41 || string(m.GetOptions().GetStreamIdentifier().GetStreamName()) != stream(0).String() || len(m.GetProposedMessages()) != 2 {
			t.Errorf("copy %d: %v", i, m)
		}
		if d := m.GetOptions().GetDeadline().AsDuration(); d <= 0 || d > left {
			t.Errorf("copy %d has %v left, the one before %v", i, d, left)
		} else {
			left = d
		}
		for j, e := range m.GetProposedMessages() {
			if string(e.GetData()) != string(events[j].Data) || !proto.Equal(e.GetId(), f.appends()[0][0].GetProposedMessages()[j].GetId()) {
				t.Errorf("copy %d, event %d: %v", i, j, e)
			}
		}
	}
	for _, md := range f.heads {
		if v := md.Get("requires-leader"); len(v) != 1 || v[0] != "true" {
			t.Errorf("a stream was opened without asking for the leader: %v", md)
		}
	}
}

// An answer to a copy of an older connection belongs to no call.
func TestAnswersOfOldEpochs(t *testing.T) {
	t.Parallel()
	var first *streams.BatchAppendReq
	f := newFake(t, func(n int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		if n == 1 {
			first = frames[0]
			return status.Error(codes.Unavailable, "going down")
		}
		if err := st.Send(refusal(first, codes.Unknown, &shared.WrongExpectedVersion{})); err != nil {
			return err
		}
		return st.Send(accepted(frames[0], 9))
	})
	if p, err := try(t, f.open(t, esclient.Config{}), 10*time.Second); err != nil || p != 9 {
		t.Errorf("%d, %v", p, err)
	}
}

// An append that ends every stream it is sent on fails alone.
func TestPoisonedAppend(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(_ int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		if strings.Contains(string(frames[0].GetProposedMessages()[0].GetData()), "poison") {
			return status.Error(codes.InvalidArgument, "cannot read this")
		}
		return st.Send(accepted(frames[0], 9))
	})
	c := f.open(t, esclient.Config{})
	bad := event(0, 0)
	bad[0].Data = []byte(`"poison"`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begun := time.Now()
	if _, err := c.Append(ctx, stream(1), es.NoStream, bad); !errors.Is(err, es.ErrUnknownOutcome) || time.Since(begun) > late {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
	if p, err := try(t, c, time.Minute); err != nil || p != 9 {
		t.Errorf("another append: %d, %v", p, err)
	}
	if n := len(f.appends()); n != 2 {
		t.Errorf("%d appends were sent", n)
	}
}

// A silent server is left for another connection.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(n int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		if n == 1 {
			return nil
		}
		return st.Send(accepted(frames[0], 9))
	})
	begun := time.Now()
	p, err := try(t, f.open(t, esclient.Config{StallAfter: 200 * time.Millisecond}), time.Minute)
	if err != nil || p != 9 || time.Since(begun) > late {
		t.Errorf("%d, %v after %v", p, err, time.Since(begun))
	}
	silent := newFake(t, func(int, []*streams.BatchAppendReq, streams.Streams_BatchAppendServer) error { return nil })
	begun = time.Now()
	if _, err := try(t, silent.open(t, esclient.Config{}), 300*time.Millisecond); !errors.Is(err, es.ErrUnknownOutcome) || time.Since(begun) > late {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

// A node that is not the leader names it; so does gossip.
func TestLeader(t *testing.T) {
	t.Parallel()
	leader := newFake(t, func(_ int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		return st.Send(accepted(frames[0], 9))
	})
	host, port, err := net.SplitHostPort(leader.addr)
	if err != nil {
		t.Fatal(err)
	}
	follower := newFake(t, func(_ int, _ []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		st.SetTrailer(metadata.Pairs("exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", port))
		return status.Error(codes.NotFound, "Leader info available")
	})
	if p, err := try(t, follower.open(t, esclient.Config{}), 10*time.Second); err != nil || p != 9 {
		t.Errorf("sent on by a follower: %d, %v", p, err)
	}

	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	member := func(state gossip.MemberInfo_VNodeState, alive bool, port int) *gossip.MemberInfo {
		return &gossip.MemberInfo{State: state, IsAlive: alive, HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(port)}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	gossip.RegisterGossipServer(s, members{list: []*gossip.MemberInfo{
		member(gossip.MemberInfo_Leader, false, 1), member(gossip.MemberInfo_Follower, true, 2), member(gossip.MemberInfo_Leader, true, number)}})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	for _, to := range []string{"esdb+discover://" + l.Addr().String() + "?tls=false", "esdb://127.0.0.1:1," + l.Addr().String() + "?tls=false"} {
		if p, err := try(t, openAt(t, to), 10*time.Second); err != nil || p != 9 {
			t.Errorf("%s: %d, %v", to, p, err)
		}
	}
}

// A large append goes out in frames, on the other stream, and small ones pass it.
func TestLargeAppends(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(_ int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		return st.Send(accepted(frames[0], 9))
	})
	c := f.open(t, esclient.Config{})
	var events []es.Proposed
	for n := range 7 {
		e := event(0, n)
		e[0].Data = fmt.Appendf(nil, "%q", strings.Repeat("x", 200<<10))
		events = append(events, e...)
	}
	if _, err := c.Append(t.Context(), stream(0), es.NoStream, events); err != nil {
		t.Fatal(err)
	}
	frames, total := f.appends()[0], 0
	for i, m := range frames {
		if total += len(m.GetProposedMessages()); (m.GetOptions() != nil) != (i == 0) || m.GetIsFinal() != (i == len(frames)-1) || proto.Size(m) > 640<<10 {
			t.Errorf("frame %d of %d: %d bytes, final %v", i, len(frames), proto.Size(m), m.GetIsFinal())
		}
	}
	if len(frames) < 3 || total != len(events) {
		t.Errorf("%d events in %d frames", total, len(frames))
	}
	if _, err := c.Append(t.Context(), stream(0), es.NoStream, make([]es.Proposed, 0)); err == nil {
		t.Error("an append of nothing was sent")
	}
	events[0].Data = make([]byte, 17<<20)
	if _, err := c.Append(t.Context(), stream(0), es.NoStream, events); !errors.Is(err, es.ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// What is under way is bounded, and waiting for room ends with the context. What was never sent is not unknown.
func TestBoundInFlight(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	f := newFake(t, func(_ int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		select {
		case <-release:
		case <-st.Context().Done():
		}
		return st.Send(accepted(frames[0], 9))
	})
	c := f.open(t, esclient.Config{InFlight: 100, StallAfter: time.Minute})
	first := make(chan error, 1)
	go func() {
		e := event(0, 0)
		e[0].Data = []byte(`"` + strings.Repeat("x", 200) + `"`) // takes all there is
		_, err := c.Append(t.Context(), stream(0), es.NoStream, e)
		first <- err
	}()
	for len(f.appends()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := try(t, c, 100*time.Millisecond); !errors.Is(err, es.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, es.ErrUnknownOutcome) {
		t.Errorf("%v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := try(t, c, time.Minute); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	if n := len(f.appends()); n != 2 {
		t.Errorf("%d appends were sent", n)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{}, 1)
	f := newFake(t, func(int, []*streams.BatchAppendReq, streams.Streams_BatchAppendServer) error {
		sent <- struct{}{}
		return nil
	})
	c := f.open(t, esclient.Config{})
	failed := make(chan error, 1)
	go func() { _, err := try(t, c, 30*time.Second); failed <- err }()
	<-sent
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, es.ErrUnknownOutcome) {
		t.Errorf("what was in flight: %v", err)
	}
	if _, err := try(t, c, time.Second); !errors.Is(err, es.ErrUnavailable) || errors.Is(err, es.ErrUnknownOutcome) {
		t.Errorf("append afterwards: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := c.End(ctx); !errors.Is(err, es.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("reading afterwards: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(n int, frames []*streams.BatchAppendReq, st streams.Streams_BatchAppendServer) error {
		switch n {
		case 1:
			return status.Error(codes.Unavailable, "going down")
		case 3:
			return st.Send(refusal(frames[0], codes.Unknown, &shared.Unknown{}))
		}
		return st.Send(accepted(frames[0], 9))
	})
	reg := prometheus.NewRegistry()
	c := f.open(t, esclient.Config{Registerer: reg})
	_ = f.open(t, esclient.Config{Registerer: reg}) // a second client of the process
	if _, err := try(t, c, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := try(t, c, time.Minute); !errors.Is(err, es.ErrUnknownOutcome) {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			var nameSb374 strings.Builder
			for _, l := range m.GetLabel() {
				nameSb374.WriteString(" " + l.GetValue())
			}
			name += nameSb374.String()
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	// Each client connects by itself; the first one's stream was ended once.
	if n := got["daybook_eventstore_connections_total append"]; n < 2 {
		t.Errorf("%v connections", n)
	}
	delete(got, "daybook_eventstore_connections_total append")
	if d := cmp.Diff(map[string]float64{
		"daybook_eventstore_append_seconds ok": 1, "daybook_eventstore_append_seconds unknown": 1, "daybook_eventstore_unknown_outcomes_total": 1,
	}, got); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"", "http://127.0.0.1:2113", "esdb://", "esdb://h:x", "esdb://h?userCertFile=/a"} {
		if c, err := esclient.Open(t.Context(), esclient.Config{ConnectionString: to}); err == nil {
			t.Errorf("%q was taken for a connection string", to)
			_ = c.Close()
		}
	}
}
