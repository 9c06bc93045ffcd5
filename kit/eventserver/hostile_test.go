package eventserver_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/internal/testenv/output"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// rawCodec sends bytes as they are and takes whatever comes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("only bytes")
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

// templates are good messages of each method, to be damaged.
func templates() map[string][]proto.Message {
	stream := &shared.StreamIdentifier{StreamName: []byte("s")}
	empty := &shared.Empty{}
	return map[string][]proto.Message{
		"event_store.client.streams.Streams/Append": {&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
			StreamIdentifier: stream, ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: empty}}}}, proposal(uuid.New())},
		"event_store.client.streams.Streams/BatchAppend": {&streams.BatchAppendReq{CorrelationId: clienttest.Text(uuid.New()), Options: clienttest.NoStream("b"), IsFinal: true,
			ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Text(uuid.New()), 1)}}},
		"event_store.client.streams.Streams/Read": {&streams.ReadReq{Options: &streams.ReadReq_Options{
			StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{AllOption: &streams.ReadReq_Options_AllOptions_Start{Start: empty}}},
			CountOption:  &streams.ReadReq_Options_Count{Count: 10}, FilterOption: &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
				Filter: &streams.ReadReq_Options_FilterOptions_EventType{EventType: &streams.ReadReq_Options_FilterOptions_Expression{Regex: `^(?!\$)`}}}}}}},
		"event_store.client.streams.Streams/Delete": {&streams.DeleteReq{Options: &streams.DeleteReq_Options{StreamIdentifier: stream,
			ExpectedStreamRevision: &streams.DeleteReq_Options_Any{Any: empty}}}},
		"event_store.client.streams.Streams/Tombstone": {&streams.TombstoneReq{Options: &streams.TombstoneReq_Options{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("t")}, ExpectedStreamRevision: &streams.TombstoneReq_Options_Any{Any: empty}}}},
		"event_store.client.persistent_subscriptions.PersistentSubscriptions/Create": {&persistent.CreateReq{Options: &persistent.CreateReq_Options{GroupName: "g",
			StreamOption: &persistent.CreateReq_Options_Stream{Stream: &persistent.CreateReq_StreamOptions{StreamIdentifier: stream}},
			Settings:     &persistent.CreateReq_Settings{LiveBufferSize: 10, ReadBatchSize: 5, HistoryBufferSize: 10, MaxCheckpointCount: 5, ConsumerStrategy: "Pinned"}}}},
		"event_store.client.persistent_subscriptions.PersistentSubscriptions/Read": {
			&persistent.ReadReq{Content: &persistent.ReadReq_Options_{Options: &persistent.ReadReq_Options{GroupName: "g", BufferSize: 3,
				StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: stream}}}},
			&persistent.ReadReq{Content: &persistent.ReadReq_Nack_{Nack: &persistent.ReadReq_Nack{Ids: []*shared.UUID{clienttest.Text(uuid.New())}}}}},
		"event_store.client.persistent_subscriptions.PersistentSubscriptions/Update": {&persistent.UpdateReq{Options: &persistent.UpdateReq_Options{GroupName: "g",
			StreamOption: &persistent.UpdateReq_Options_All{All: &persistent.UpdateReq_AllOptions{}}}}},
		"event_store.client.persistent_subscriptions.PersistentSubscriptions/GetInfo":      {&persistent.GetInfoReq{Options: &persistent.GetInfoReq_Options{GroupName: "g"}}},
		"event_store.client.persistent_subscriptions.PersistentSubscriptions/ReplayParked": {&persistent.ReplayParkedReq{Options: &persistent.ReplayParkedReq_Options{GroupName: "g"}}},
		"event_store.client.persistent_subscriptions.PersistentSubscriptions/List":         {&persistent.ListReq{}},
		"event_store.client.persistent_subscriptions.PersistentSubscriptions/Delete":       {&persistent.DeleteReq{Options: &persistent.DeleteReq_Options{GroupName: "g"}}},
		"event_store.client.users.Users/Create":                                            {named("hostile", "password", "Somebody", "group")},
		"event_store.client.users.Users/Update":                                            {named("hostile", "", "Somebody", "group")},
		"event_store.client.users.Users/ChangePassword":                                    {named("hostile", "password", "next")},
		"event_store.client.users.Users/ResetPassword":                                     {named("hostile", "password")},
		"event_store.client.users.Users/Disable":                                           {named("hostile")},
		"event_store.client.users.Users/Details":                                           {named("hostile")},
		"event_store.client.users.Users/Delete":                                            {named("hostile")},
		"event_store.client.operations.Operations/StopScavenge":                            {named(uuid.NewString())},
		"event_store.client.operations.Operations/SetNodePriority":                         {named()},
		"event_store.client.operations.Operations/Shutdown":                                {},
		"event_store.client.monitoring.Monitoring/Stats":                                   {},
		"event_store.client.gossip.Gossip/Read":                                            {},
	}
}

// named is a request of the services Users and Operations: a message of strings as the first field.
func named(text ...string) proto.Message {
	var b []byte
	for i, s := range text {
		b = protowire.AppendString(protowire.AppendTag(b, protowire.Number(i+1), protowire.BytesType), s) //nolint:gosec // a few
	}
	m := &emptypb.Empty{}
	m.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b))
	return m
}

func damage(rng *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range rng.IntN(4) {
		switch {
		case len(b) == 0 || rng.IntN(6) == 0:
			b = append(b, byte(rng.Uint32()), byte(rng.Uint32()))
		case rng.IntN(6) == 0:
			b = b[:rng.IntN(len(b))]
		case rng.IntN(6) == 0:
			i := rng.IntN(len(b))
			b = append(b[:i:i], append(b[rng.IntN(len(b)):len(b):len(b)], b[i:]...)...)
		default:
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
	}
	return b
}

// TestHostileMessages sends damaged messages to every method: no panic, no hang, and the server serves on.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	log := &output.Buffer{}
	s := start(t, func(cfg *eventserver.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	c := connect(t, s)
	clienttest.Append(t, c, "s", esdb.NoStream{}, clienttest.Events(20)...)
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	clienttest.Must(t, err)
	defer conn.Close()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	calls := 0
	for method, messages := range templates() {
		var good [][]byte
		for _, m := range messages {
			b, err := proto.Marshal(m)
			clienttest.Must(t, err)
			good = append(good, b)
		}
		for range 120 {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			st, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+method)
			clienttest.Must(t, err)
			for _, b := range good {
				_ = st.SendMsg(damage(rng, b))
			}
			if len(good) == 0 {
				_ = st.SendMsg(damage(rng, nil))
			}
			_ = st.CloseSend()
			for range 3 { // an answer or two, or the end; subscriptions have none
				wait := make(chan error, 1)
				go func() { wait <- st.RecvMsg(nil) }()
				select {
				case err = <-wait:
				case <-time.After(20 * time.Millisecond):
					err = errors.New("still open")
				}
				if err != nil {
					break
				}
			}
			cancel()
			calls++
		}
	}
	clienttest.Append(t, c, "afterwards", esdb.NoStream{}, clienttest.Event(1))
	if text := log.String(); strings.Contains(text, "panicked") {
		t.Error(text[:min(len(text), 4000)])
	}
	if _, err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%d calls", calls)
}
