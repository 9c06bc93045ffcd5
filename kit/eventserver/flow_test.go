package eventserver_test

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

// TestBatchAppendClientThatDoesNotRead: such a client is not received from any more, and no other client notices.
func TestBatchAppendClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	call := batchCall(t, s)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			p := clienttest.Proposed(clienttest.Structured(uuid.New()), i)
			p.Data = make([]byte, 4096)
			if call.Send(&streams.BatchAppendReq{CorrelationId: clienttest.Structured(uuid.New()), Options: clienttest.NoStream(fmt.Sprintf("deaf-%d", i)),
				ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{p}, IsFinal: true}) != nil {
				return
			}
		}
	}()
	c := connect(t, s)
	for i := range 50 {
		clienttest.Append(t, c, fmt.Sprintf("other-%d", i), esdb.NoStream{}, clienttest.Event(i))
	}
	// It begins to read: what it sent is answered, also what was not received until now.
	for range int64(6_000) {
		r, err := call.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if r.GetSuccess() == nil {
			t.Fatalf("answered %v", r)
		}
	}
	_ = s.Close()
	<-stopped
}

// TestSlowSubscriber: a subscriber that does not read holds up neither appends nor another subscriber.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	var subs []*esdb.Subscription
	for range 3 {
		sub, err := connect(t, s).SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		subs = append(subs, sub)
	}
	const n = 300
	for i := range n {
		e := clienttest.Event(i)
		e.Data = make([]byte, 32<<10) // far more than the windows hold
		e.ContentType = esdb.ContentTypeBinary
		clienttest.Append(t, c, "s", esdb.Any{}, e)
	}
	for _, sub := range subs[1:] { // subs[0] sleeps
		for p := uint64(1); p <= n+1; p++ {
			if e := clienttest.Next(t, sub); e.Event.Position.Commit != p {
				t.Fatalf("got %d, want %d", e.Event.Position.Commit, p)
			}
		}
	}
	for p := uint64(1); p <= n+1; p++ { // and misses nothing
		if e := clienttest.Next(t, subs[0]); e.Event.Position.Commit != p {
			t.Fatalf("the slow one got %d, want %d", e.Event.Position.Commit, p)
		}
	}
}
