package eventserver_test

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

func batchCall(t testing.TB, s *eventserver.Server) streams.Streams_BatchAppendClient {
	t.Helper()
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	call, err := streams.NewStreamsClient(conn).BatchAppend(clienttest.Within(t))
	if err != nil {
		t.Fatal(err)
	}
	return call
}

func TestBatchAppend(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	call := batchCall(t, s)
	const n = 5000 // more than may be under way
	want := map[string]int{}
	errs := make(chan error, 1)
	ids := make([]*shared.UUID, n)
	for i := range ids {
		id := uuid.New()
		if ids[i] = clienttest.Structured(id); i%2 == 1 {
			ids[i] = clienttest.Text(id)
		}
		want[ids[i].String()] = i
	}
	go func() {
		for i, id := range ids {
			// In two frames each, the second one without options.
			err := call.Send(&streams.BatchAppendReq{CorrelationId: id, Options: clienttest.NoStream(fmt.Sprintf("s-%d", i)),
				ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Text(uuid.New()), i)}})
			if err == nil {
				err = call.Send(&streams.BatchAppendReq{CorrelationId: id, IsFinal: true,
					ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Structured(uuid.New()), i)}})
			}
			if err != nil {
				errs <- err
				return
			}
		}
		errs <- call.CloseSend()
	}()
	positions := map[uint64]bool{}
	for {
		r, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		i, ok := want[r.GetCorrelationId().String()]
		if !ok {
			t.Fatalf("answer %v to nothing", r)
		}
		delete(want, r.GetCorrelationId().String())
		if got := string(r.GetStreamIdentifier().GetStreamName()); got != fmt.Sprintf("s-%d", i) || r.GetNoStream() == nil ||
			r.GetSuccess().GetCurrentRevision() != 1 || positions[r.GetSuccess().GetPosition().GetCommitPosition()] {
			t.Fatalf("append %d was answered %v", i, r)
		}
		positions[r.GetSuccess().GetPosition().GetCommitPosition()] = true
	}
	if err := <-errs; err != nil || len(want) != 0 {
		t.Errorf("%v; %d appends without an answer", err, len(want))
	}
	if got := len(clienttest.ReadAll(t, c, esdb.ReadAllOptions{}, clienttest.Unlimited)); got != 2*n+1 {
		t.Errorf("%d events, want %d", got, 2*n+1)
	}
}

func TestBatchAppendErrors(t *testing.T) {
	t.Parallel()
	s := start(t)
	call := batchCall(t, s)
	one := []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Text(uuid.New()), 1)}
	big := clienttest.Proposed(clienttest.Text(uuid.New()), 1)
	big.Data = make([]byte, 1<<20)
	untyped := clienttest.Proposed(clienttest.Text(uuid.New()), 1)
	delete(untyped.GetMetadata(), "type")
	late, expired, revision := clienttest.NoStream("late"), clienttest.NoStream("late"), clienttest.NoStream("s")
	late.DeadlineOption = &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(-time.Second)}
	expired.DeadlineOption = &streams.BatchAppendReq_Options_Deadline_21_10_0{Deadline_21_10_0: timestamppb.New(time.Now().Add(-time.Minute))}
	revision.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: 7}
	for _, x := range []struct {
		name string
		o    *streams.BatchAppendReq_Options
		es   []*streams.BatchAppendReq_ProposedMessage
		want string // "" : success
	}{
		{"first", clienttest.NoStream("s"), one, ""},
		{"repeat", clienttest.NoStream("s"), one, ""},
		{"wrong version", revision, []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Text(uuid.New()), 2)}, "WrongExpectedVersion"},
		{"deadline", late, one, "Timeout"},
		{"old deadline", expired, one, "Timeout"},
		{"large", clienttest.NoStream("big"), []*streams.BatchAppendReq_ProposedMessage{big}, "MaximumAppendSizeExceeded"},
		{"no type", clienttest.NoStream("untyped"), []*streams.BatchAppendReq_ProposedMessage{untyped}, "BadRequest"},
		{"no options", nil, one, "BadRequest"},
		{"no stream", clienttest.NoStream(""), one, "BadRequest"},
		{"after all that", clienttest.NoStream("t"), one, ""},
	} {
		if err := call.Send(&streams.BatchAppendReq{CorrelationId: clienttest.Text(uuid.New()), Options: x.o, ProposedMessages: x.es, IsFinal: true}); err != nil {
			t.Fatal(err)
		}
		r, err := call.Recv()
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		if got := clienttest.Detail(r); got != x.want || (r.GetSuccess() != nil) != (x.want == "") {
			t.Errorf("%s: answered %q, want %q: %v", x.name, got, x.want, r)
		}
	}
	if got := clienttest.ReadAll(t, connect(t, s), esdb.ReadAllOptions{}, clienttest.Unlimited); len(got) != 3 {
		t.Errorf("%d events, want 3", len(got))
	}
}

// TestUnboundedAppends: neither endless events of no size nor appends that are never completed fill the memory.
func TestUnboundedAppends(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *eventserver.Config) { cfg.MaxAppendBytes = 4096 })
	c := connect(t, s)
	small := clienttest.Events(600)
	for i := range small {
		small[i].EventType, small[i].Data, small[i].Metadata = "", nil, nil
	}
	if _, err := c.AppendToStream(clienttest.Within(t), "s", esdb.AppendToStreamOptions{}, small...); err == nil {
		t.Error("600 events in an append of 4 KiB were accepted")
	}
	clienttest.Append(t, c, "s", esdb.NoStream{}, small[:500]...)
	call := batchCall(t, s)
	for i := range batchUnfinal + 1 {
		if err := call.Send(&streams.BatchAppendReq{CorrelationId: clienttest.Structured(uuid.New()), Options: clienttest.NoStream(strconv.Itoa(i))}); err != nil {
			break
		}
	}
	if _, err := call.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("appends that are never completed: %v", err)
	}
}

const batchUnfinal = 256
