package conformance

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var batchCases = []testCase{
	{name: "batch append", run: batchAppend},
	{name: "batch append errors", run: batchErrors},
}

func (s *suite) batchCall(t *testing.T, who esdb.Credentials) streams.Streams_BatchAppendClient {
	t.Helper()
	call, err := streams.NewStreamsClient(s.conn).BatchAppend(s.as(clienttest.Within(t), who))
	clienttest.Must(t, err)
	return call
}

func batchAppend(t *testing.T, s *suite) {
	call := s.batchCall(t, s.login)
	const n = 500
	prefix := unique("batch")
	want := map[uuid.UUID]int{}
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.New()
		want[ids[i]] = i
	}
	errs := make(chan error, 1)
	go func() {
		for i, id := range ids {
			correlation := clienttest.Structured(id)
			if i%2 == 1 {
				correlation = clienttest.Text(id)
			}
			// In two frames each, the second one without options.
			err := call.Send(&streams.BatchAppendReq{CorrelationId: correlation, Options: clienttest.NoStream(fmt.Sprintf("%s-%d", prefix, i)),
				ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Text(uuid.New()), i)}})
			if err == nil {
				err = call.Send(&streams.BatchAppendReq{CorrelationId: correlation, IsFinal: true,
					ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Structured(uuid.New()), i)}})
			}
			if err != nil {
				errs <- err
				return
			}
		}
		errs <- call.CloseSend()
	}()
	for {
		r, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		clienttest.Must(t, err)
		id := idOf(t, r.GetCorrelationId())
		i, ok := want[id]
		if !ok {
			t.Fatalf("answer %v to nothing", r)
		}
		delete(want, id)
		if got := string(r.GetStreamIdentifier().GetStreamName()); got != fmt.Sprintf("%s-%d", prefix, i) || r.GetSuccess().GetCurrentRevision() != 1 {
			t.Fatalf("append %d was answered %v", i, r)
		}
		if len(want) == 0 {
			break // not every server ends the call when the client has sent all
		}
	}
	if err := <-errs; err != nil || len(want) != 0 {
		t.Errorf("%v; %d appends without an answer", err, len(want))
	}
	if got := clienttest.ReadStream(t, s.admin, fmt.Sprintf("%s-%d", prefix, n-1), esdb.ReadStreamOptions{}, clienttest.Unlimited); len(got) != 2 {
		t.Errorf("%d events, want 2", len(got))
	}
}

func idOf(t *testing.T, u *shared.UUID) uuid.UUID {
	t.Helper()
	if u.GetString_() != "" {
		id, err := uuid.Parse(u.GetString_())
		clienttest.Must(t, err)
		return id
	}
	id, err := esdb.ParseUUIDFromInt64(u.GetStructured().GetMostSignificantBits(), u.GetStructured().GetLeastSignificantBits())
	clienttest.Must(t, err)
	return id
}

func batchErrors(t *testing.T, s *suite) {
	call := s.batchCall(t, s.login)
	stream := unique("batch")
	one := []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Text(uuid.New()), 1)}
	big := clienttest.Proposed(clienttest.Text(uuid.New()), 1)
	big.Data = make([]byte, 1<<20)
	expired, revision := clienttest.NoStream(unique("late")), clienttest.NoStream(stream)
	expired.DeadlineOption = &streams.BatchAppendReq_Options_Deadline_21_10_0{Deadline_21_10_0: timestamppb.New(time.Now().Add(-time.Minute))}
	revision.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: 7}
	for _, x := range []struct {
		name string
		o    *streams.BatchAppendReq_Options
		es   []*streams.BatchAppendReq_ProposedMessage
		want string // "" : success
	}{
		{"first", clienttest.NoStream(stream), one, ""},
		{"repeat", clienttest.NoStream(stream), one, ""},
		{"wrong version", revision, []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Text(uuid.New()), 2)}, "WrongExpectedVersion"},
		{"deadline", expired, one, "Timeout"},
		{"large", clienttest.NoStream(unique("large")), []*streams.BatchAppendReq_ProposedMessage{big}, "MaximumAppendSizeExceeded"},
		{"after all that", clienttest.NoStream(unique("after")), []*streams.BatchAppendReq_ProposedMessage{clienttest.Proposed(clienttest.Text(uuid.New()), 3)}, ""},
	} {
		clienttest.Must(t, call.Send(&streams.BatchAppendReq{CorrelationId: clienttest.Text(uuid.New()), Options: x.o, ProposedMessages: x.es, IsFinal: true}))
		r, err := call.Recv()
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		if got := clienttest.Detail(r); got != x.want || (r.GetSuccess() != nil) != (x.want == "") {
			t.Errorf("%s: answered %q, want %q: %v", x.name, got, x.want, r)
		}
	}
}
