package conformance

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	proto "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var groupCases = []testCase{
	{name: "persistent order of what is sent again", run: groupOrder},
	{name: "persistent pinned to a full consumer", run: groupPinned},
	{name: "persistent links parked and replayed", run: groupLinks},
	{name: "persistent replay up to a number", run: groupStopAt},
	{name: "persistent large buffers", run: groupBuffers},
	{name: "persistent change of the start", run: groupStart},
	{name: "persistent answers by which clients tell errors apart", run: groupErrors},
	{name: "persistent names that run together", run: groupNames},
}

// groupOrder: what a consumer held when it left, or did not answer in time, comes to the next one in the order of the stream.
func groupOrder(t *testing.T, s *suite) {
	const n = 30
	for _, timeout := range []int32{100, 60_000} {
		stream := unique("order")
		clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(n)...)
		clienttest.CreateGroup(t, s.admin, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout, s.MaxRetryCount = timeout, 1000 })
		sub := clienttest.Consume(t, s.admin, stream, n)
		for i := range n {
			if e, _ := clienttest.Delivered(t, sub); e.Event.EventNumber != uint64(i) {
				t.Fatalf("got %d, want %d", e.Event.EventNumber, i)
			}
		}
		if timeout > 1000 {
			clienttest.Must(t, sub.Close())
			sub = clienttest.Consume(t, s.admin, stream, n)
		}
		for i := range n {
			if e, retries := clienttest.Delivered(t, sub); e.Event.EventNumber != uint64(i) || retries != 1 {
				t.Fatalf("with a timeout of %d ms: got %d (retried %d), want %d", timeout, e.Event.EventNumber, retries, i)
			}
		}
	}
}

// groupPinned: a consumer that answers nothing holds up only what is pinned to it.
func groupPinned(t *testing.T, s *suite) {
	const streams, each = 16, 10
	prefix, name := unique("pinned"), unique("group")
	set := esdb.SubscriptionSettingsDefault()
	set.ConsumerStrategyName, set.MessageTimeout = esdb.ConsumerStrategyPinned, 600_000
	clienttest.Must(t, s.admin.CreatePersistentSubscriptionToAll(clienttest.Within(t), name, esdb.PersistentAllSubscriptionOptions{Settings: &set, StartFrom: esdb.Start{},
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{prefix}}}))
	consume := func() *esdb.PersistentSubscription {
		sub, err := s.admin.SubscribeToPersistentSubscriptionToAll(clienttest.Within(t), name, esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: 1})
		clienttest.Must(t, err)
		t.Cleanup(func() { _ = sub.Close() })
		return sub
	}
	full, busy := consume(), consume()
	for i := range each {
		for k := range streams {
			clienttest.Append(t, s.admin, fmt.Sprintf("%s-%d", prefix, k), esdb.Any{}, clienttest.Event(i))
		}
	}
	held, _ := clienttest.Delivered(t, full)
	got := map[string]int{}
	for len(got) < streams/4 || got[held.Event.StreamID] > 0 { // at least a quarter is its own: half of 1024 buckets
		e, _ := clienttest.Delivered(t, busy)
		if e.Event.StreamID == held.Event.StreamID {
			t.Fatalf("%s is with two consumers", e.Event.StreamID)
		}
		got[e.Event.StreamID]++
		clienttest.Must(t, busy.Ack(e))
	}
	total := 0
	for _, n := range got {
		total += n
	}
	for want := len(got) * each; total < want; total++ {
		e, _ := clienttest.Delivered(t, busy)
		if got[e.Event.StreamID] == 0 {
			want += each
		}
		got[e.Event.StreamID]++
		clienttest.Must(t, busy.Ack(e))
	}
}

// groupLinks: what a link stands for is parked and replayed with a link, if the group resolves links, and otherwise the link is.
func groupLinks(t *testing.T, s *suite) {
	for _, resolve := range []bool{true, false} {
		target, links := unique("target"), unique("links")
		clienttest.Append(t, s.admin, target, esdb.NoStream{}, clienttest.Events(3)...)
		link := clienttest.Event(0)
		link.EventType, link.ContentType, link.Data = "$>", esdb.ContentTypeBinary, []byte("2@"+target)
		clienttest.Append(t, s.admin, links, esdb.NoStream{}, link)
		clienttest.CreateGroup(t, s.admin, links, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.ResolveLinkTos = resolve })
		sub := clienttest.Consume(t, s.admin, links, 1)
		for try := range 3 {
			e, _ := clienttest.Delivered(t, sub)
			switch {
			case e.Event == nil:
				t.Fatalf("try %d: an event without what it stands for", try)
			case resolve && (e.Event.StreamID != target || e.Event.EventNumber != 2 || e.Link == nil):
				t.Errorf("try %d: got %s of %s, with the link %v", try, e.Event.EventType, e.Event.StreamID, e.Link)
			case !resolve && (e.Event.StreamID != links || e.Event.EventType != "$>"):
				t.Errorf("try %d: got %s of %s, want the link itself", try, e.Event.EventType, e.Event.StreamID)
			}
			clienttest.Must(t, sub.Nack("later", esdb.NackActionPark, e))
			clienttest.WaitParked(t, s.admin, links, 1)
			clienttest.Must(t, s.admin.ReplayParkedMessages(clienttest.Within(t), links, group, esdb.ReplayParkedMessagesOptions{}))
		}
	}
}

// groupStopAt: parked messages have numbers, from 0; a replay stops before the one that is named.
func groupStopAt(t *testing.T, s *suite) {
	const n = 6
	stream := unique("stop")
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(n)...)
	clienttest.CreateGroup(t, s.admin, stream, esdb.Start{})
	sub := clienttest.Consume(t, s.admin, stream, 1)
	for range n {
		e, _ := clienttest.Delivered(t, sub)
		clienttest.Must(t, sub.Nack("later", esdb.NackActionPark, e))
	}
	clienttest.WaitParked(t, s.admin, stream, n)
	next := uint64(0)
	for _, stop := range []int{2, 2, 5, 100} {
		clienttest.Must(t, s.admin.ReplayParkedMessages(clienttest.Within(t), stream, group, esdb.ReplayParkedMessagesOptions{StopAt: stop}))
		for ; next < uint64(min(stop, n)); next++ {
			e, _ := clienttest.Delivered(t, sub)
			if e.Event.EventNumber != next {
				t.Fatalf("stop at %d: got %d, want %d", stop, e.Event.EventNumber, next)
			}
			clienttest.Must(t, sub.Ack(e))
		}
		clienttest.WaitParked(t, s.admin, stream, n-int(next)) //nolint:gosec // small
	}
	err := s.admin.ReplayParkedMessages(clienttest.Within(t), stream, group, esdb.ReplayParkedMessagesOptions{StopAt: -1})
	if err == nil {
		t.Error("a replay up to a negative number was accepted")
	}
}

// groupBuffers: as much is in flight as the client allows, and the group's own buffers may be of any size.
func groupBuffers(t *testing.T, s *suite) {
	stream := unique("buffers")
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(1200)...)
	clienttest.CreateGroup(t, s.admin, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) {
		s.LiveBufferSize, s.HistoryBufferSize, s.ReadBatchSize = 1_000_000, 1_000_000, 400
	})
	sub := clienttest.Consume(t, s.admin, stream, 150_000)
	for i := range 1200 {
		if e, _ := clienttest.Delivered(t, sub); e.Event.EventNumber != uint64(i) {
			t.Fatalf("got %d, want %d", e.Event.EventNumber, i)
		}
	}
}

// groupStart: an update moves the start of a group that has no checkpoint yet.
func groupStart(t *testing.T, s *suite) {
	for _, to := range []struct {
		start *proto.UpdateReq_StreamOptions
		first uint64
	}{
		{&proto.UpdateReq_StreamOptions{RevisionOption: &proto.UpdateReq_StreamOptions_End{End: &shared.Empty{}}}, 5},
		{&proto.UpdateReq_StreamOptions{RevisionOption: &proto.UpdateReq_StreamOptions_Revision{Revision: 3}}, 3},
		{&proto.UpdateReq_StreamOptions{RevisionOption: &proto.UpdateReq_StreamOptions_Start{Start: &shared.Empty{}}}, 0},
	} {
		stream := unique("restarted")
		clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(5)...)
		clienttest.CreateGroup(t, s.admin, stream, esdb.Revision(1))
		info, err := s.admin.GetPersistentSubscriptionInfo(clienttest.Within(t), stream, group, esdb.GetPersistentSubscriptionOptions{})
		clienttest.Must(t, err)
		if known := info.Stats.LastKnownEventRevision; known != nil && *known < 1 {
			t.Errorf("a group from 1 on knows %d", *known)
		}
		to.start.StreamIdentifier = &shared.StreamIdentifier{StreamName: []byte(stream)}
		_, err = proto.NewPersistentSubscriptionsClient(s.conn).Update(s.as(clienttest.Within(t), s.login), &proto.UpdateReq{Options: &proto.UpdateReq_Options{
			GroupName: group, StreamOption: &proto.UpdateReq_Options_Stream{Stream: to.start}, Settings: &proto.UpdateReq_Settings{ReadBatchSize: 20,
				HistoryBufferSize: 500, LiveBufferSize: 500, MaxRetryCount: 10, MinCheckpointCount: 10, MaxCheckpointCount: 1000,
				MessageTimeout: &proto.UpdateReq_Settings_MessageTimeoutMs{MessageTimeoutMs: 30_000}}}})
		clienttest.Must(t, err)
		sub := clienttest.Consume(t, s.admin, stream, 10)
		clienttest.Append(t, s.admin, stream, esdb.Revision(4), clienttest.Events(2)...)
		if e, _ := clienttest.Delivered(t, sub); e.Event.EventNumber != to.first {
			t.Errorf("changed to %v: got %d, want %d", to.start, e.Event.EventNumber, to.first)
		}
	}
}

// consumeRaw makes a consumer's call and gives its first answer and what the call ended with, if it ended.
func (s *suite) consumeRaw(t *testing.T, ctx context.Context, stream string, buffer int32) (string, answer) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var trailer metadata.MD
	call, err := proto.NewPersistentSubscriptionsClient(s.conn).Read(ctx, grpc.Trailer(&trailer))
	clienttest.Must(t, err)
	clienttest.Must(t, call.Send(&proto.ReadReq{Content: &proto.ReadReq_Options_{Options: &proto.ReadReq_Options{GroupName: group, BufferSize: buffer,
		StreamOption: &proto.ReadReq_Options_StreamIdentifier{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}},
		UuidOption:   &proto.ReadReq_Options_UUIDOption{Content: &proto.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}}}}}))
	m, err := call.Recv()
	return m.GetSubscriptionConfirmation().GetSubscriptionId(), answer{}.ended(err, trailer)
}

// groupNames: a group is never taken for another one, also where stream and group written with "::" between them are the same.
func groupNames(t *testing.T, s *suite) {
	short := unique("names")
	long := short + "::of"
	clienttest.Append(t, s.admin, long, esdb.NoStream{}, clienttest.Event(0))
	clienttest.CreateGroup(t, s.admin, long, esdb.Start{})
	both := "of::" + group
	sub, err := s.admin.SubscribeToPersistentSubscription(clienttest.Within(t), short, both, esdb.SubscribeToPersistentSubscriptionOptions{})
	if clienttest.Code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("group %s on stream %s is not there, and was joined: %v %v", both, short, sub, err)
	}
	settings := esdb.SubscriptionSettingsDefault()
	if err := s.admin.CreatePersistentSubscription(clienttest.Within(t), short, both, esdb.PersistentStreamSubscriptionOptions{Settings: &settings}); err == nil {
		t.Errorf("group %s on stream %s was made, which would share its checkpoint with group %s on stream %s", both, short, group, long)
	}
	if err := s.admin.DeletePersistentSubscription(clienttest.Within(t), short, both, esdb.DeletePersistentSubscriptionOptions{}); clienttest.Code(err) != esdb.ErrorCodeResourceNotFound {
		t.Errorf("delete of a group that is not there: %v", err)
	}
	e, _ := clienttest.Delivered(t, clienttest.Consume(t, s.admin, long, 1))
	if e.Event.StreamID != long {
		t.Errorf("delivered an event of %s", e.Event.StreamID)
	}
}

func groupErrors(t *testing.T, s *suite) {
	ctx := s.as(clienttest.Within(t), s.login)
	c, stream, absent := proto.NewPersistentSubscriptionsClient(s.conn), unique("errors"), unique("absent")
	clienttest.CreateGroup(t, s.admin, stream, esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.MaxSubscriberCount = 1 })
	if id, got := s.consumeRaw(t, ctx, stream, 10); id != stream+"::"+group {
		t.Errorf("the confirmation's id is %q (%v), want stream::group", id, got)
	}
	unary := func(call func(...grpc.CallOption) error) answer {
		var trailer metadata.MD
		return answer{}.ended(call(grpc.Trailer(&trailer)), trailer)
	}
	create := func(stream string, change func(*proto.CreateReq_Options)) answer {
		o := &proto.CreateReq_Options{GroupName: group, StreamOption: &proto.CreateReq_Options_Stream{Stream: &proto.CreateReq_StreamOptions{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}, RevisionOption: &proto.CreateReq_StreamOptions_Start{Start: &shared.Empty{}}}},
			Settings: &proto.CreateReq_Settings{ReadBatchSize: 20, HistoryBufferSize: 500, LiveBufferSize: 500, MaxRetryCount: 10, MinCheckpointCount: 10,
				MaxCheckpointCount: 1000, ConsumerStrategy: "RoundRobin"}}
		if change != nil {
			change(o)
		}
		return unary(func(opts ...grpc.CallOption) error {
			_, err := c.Create(ctx, &proto.CreateReq{Options: o}, opts...)
			return err
		})
	}
	const failed = "persistent-subscription-failed"
	_, noGroup := s.consumeRaw(t, ctx, absent, 10)
	left := func() {
		clienttest.Eventually(t, "the consumer's leaving is noticed", func() bool {
			info, err := s.admin.GetPersistentSubscriptionInfo(clienttest.Within(t), stream, group, esdb.GetPersistentSubscriptionOptions{})
			clienttest.Must(t, err)
			return len(info.Connections) == 0
		})
	}
	left()
	only := clienttest.Consume(t, s.admin, stream, 1)
	_, tooMany := s.consumeRaw(t, ctx, stream, 10)
	clienttest.Must(t, only.Close())
	for _, x := range []struct {
		name      string
		got       answer
		code      codes.Code
		exception string
		stream    string
	}{
		{"no such group", noGroup, codes.NotFound, "persistent-subscription-does-not-exist", absent},
		{"too many consumers", tooMany, codes.FailedPrecondition, "maximum-subscribers-reached", stream},
		{"a group that is there", create(stream, nil), codes.AlreadyExists, "persistent-subscription-exists", stream},
		{"an unknown strategy", create(absent, func(o *proto.CreateReq_Options) { o.Settings.ConsumerStrategy = "Random" }), codes.Internal, failed, absent},
		{"a batch as large as the buffer", create(absent, func(o *proto.CreateReq_Options) { o.Settings.ReadBatchSize = 500 }), codes.Internal, failed, absent},
		{"$all by name", create("$all", nil), codes.Internal, failed, "$all"},
		{"a start behind the end of $all", create("$all", func(o *proto.CreateReq_Options) {
			o.StreamOption = &proto.CreateReq_Options_All{All: &proto.CreateReq_AllOptions{FilterOption: &proto.CreateReq_AllOptions_NoFilter{NoFilter: &shared.Empty{}},
				AllOption: &proto.CreateReq_AllOptions_Position{Position: &proto.CreateReq_Position{CommitPosition: math.MaxInt64 - 1, PreparePosition: math.MaxInt64 - 1}}}}
		}), codes.Internal, failed, "$all"},
		{"a negative number to stop at", unary(func(opts ...grpc.CallOption) error {
			_, err := c.ReplayParked(ctx, &proto.ReplayParkedReq{Options: &proto.ReplayParkedReq_Options{GroupName: group,
				StreamOption: &proto.ReplayParkedReq_Options_StreamIdentifier{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}},
				StopAtOption: &proto.ReplayParkedReq_Options_StopAt{StopAt: -1}}}, opts...)
			return err
		}), codes.Internal, failed, stream},
	} {
		want := map[string]string{"exception": x.exception, "stream-name": x.stream, "group-name": group}
		for name, value := range want {
			if got := x.got.trailers.Get(name); len(got) != 1 || got[0] != value {
				t.Errorf("%s: trailer %s is %q, want %q", x.name, name, got, value)
			}
		}
		if reason := x.got.trailers.Get("reason"); x.got.code != x.code || (len(reason) == 1 && reason[0] != "") != (x.exception == failed) {
			t.Errorf("%s: %v %s (%q), want %v", x.name, x.got.code, x.got.text, reason, x.code)
		}
	}
	if _, got := s.consumeRaw(t, ctx, stream, -1); got.code == codes.OK {
		t.Error("a negative buffer was accepted")
	}
	left()
	dropped := clienttest.Consume(t, s.admin, stream, 1)
	clienttest.Must(t, s.admin.DeletePersistentSubscription(clienttest.Within(t), stream, group, esdb.DeletePersistentSubscriptionOptions{}))
	if e := dropped.Recv(); e.SubscriptionDropped == nil {
		t.Errorf("the deleted group's consumer got %+v", e)
	}
}
