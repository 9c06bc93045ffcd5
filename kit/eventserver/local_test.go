package eventserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

func callWithin(ctx context.Context, s *eventserver.Server, method string) (grpc.ClientStream, error) {
	return s.Local().NewStream(ctx, nil, "/event_store.client.streams.Streams/"+method, grpc.ForceCodecV2(encoding.GetCodecV2("proto")))
}

func subscription() *streams.ReadReq {
	return &streams.ReadReq{Options: &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{
			AllOption: &streams.ReadReq_Options_AllOptions_Start{Start: &shared.Empty{}}}},
		CountOption:  &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}},
		FilterOption: &streams.ReadReq_Options_NoFilter{NoFilter: &shared.Empty{}},
	}}
}

// Calls within the process end as others do: with the client's context, with the server, and with its errors.
func TestLocalCallsEnd(t *testing.T) {
	t.Parallel()
	s, err := eventserver.Start(t.Context(), eventserver.Config{Dir: t.TempDir()})
	clienttest.Must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	end := func(st grpc.ClientStream) error {
		for {
			if err := st.RecvMsg(&streams.ReadResp{}); err != nil {
				return err
			}
		}
	}
	if _, err := callWithin(t.Context(), s, "Nothing"); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that there is not: %v", err)
	}
	st, err := callWithin(t.Context(), s, "Read")
	clienttest.Must(t, err)
	clienttest.Must(t, st.SendMsg(&streams.ReadReq{}))
	if err := end(st); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a request without options: %v", err)
	}
	if err := st.SendMsg(subscription()); !errors.Is(err, io.EOF) {
		t.Errorf("sent to a call that has ended: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	st, err = callWithin(ctx, s, "Read")
	clienttest.Must(t, err)
	clienttest.Must(t, st.SendMsg(subscription()))
	clienttest.Must(t, st.RecvMsg(&streams.ReadResp{}))
	cancel()
	if err := end(st); status.Code(err) != codes.Canceled {
		t.Errorf("a client that left: %v", err)
	}
	st, err = callWithin(t.Context(), s, "Read")
	clienttest.Must(t, err)
	clienttest.Must(t, st.SendMsg(subscription()))
	clienttest.Must(t, st.RecvMsg(&streams.ReadResp{}))
	clienttest.Must(t, s.Close())
	if err := end(st); status.Code(err) != codes.Unavailable {
		t.Errorf("a server that closed: %v", err)
	}
	if _, err := callWithin(t.Context(), s, "Read"); status.Code(err) != codes.Unavailable {
		t.Errorf("a call of a closed server: %v", err)
	}
}

// A client that takes nothing stops being sent to, and holds up neither others nor the server's end.
func TestLocalReaderThatTakesNothing(t *testing.T) {
	t.Parallel()
	s, err := eventserver.Start(t.Context(), eventserver.Config{Dir: t.TempDir()})
	clienttest.Must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	c := connect(t, s)
	for i := range 20 {
		clienttest.Append(t, c, fmt.Sprintf("s-%d", i), esdb.NoStream{}, clienttest.Events(100)...)
	}
	st, err := callWithin(t.Context(), s, "Read")
	clienttest.Must(t, err)
	clienttest.Must(t, st.SendMsg(subscription()))
	clienttest.Must(t, st.RecvMsg(&streams.ReadResp{}))
	clienttest.Append(t, c, "other", esdb.NoStream{}, clienttest.Events(10)...)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		clienttest.Must(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the server does not end")
	}
}
