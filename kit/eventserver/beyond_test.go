package eventserver_test

import (
	"errors"
	"io"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

// TestAllBeyondItsEnd: a position behind the end of $all is refused, to a read and to a subscription, filtered or not: waiting
// there would pass over what comes next. Just behind the end is where the next event will be; backwards there is nothing to pass over.
func TestAllBeyondItsEnd(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	end := clienttest.Append(t, c, "s", esdb.NoStream{}, clienttest.Events(3)...).CommitPosition
	filters := map[string]*esdb.SubscriptionFilter{
		"all":    nil,
		"stream": {Type: esdb.StreamFilterType, Prefixes: []string{"s"}},
		"type":   {Type: esdb.EventFilterType, Regex: "^thing"},
	}
	for _, beyond := range []uint64{1, 2, 1000, 1 << 62} {
		at := esdb.Position{Commit: end + beyond, Prepare: end + beyond}
		for name, f := range filters {
			sub, err := c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{From: at, Filter: f})
			if err == nil {
				if e := sub.Recv(); e.SubscriptionDropped != nil {
					err = e.SubscriptionDropped.Error
				}
				_ = sub.Close()
			}
			if !refusedPosition(err) {
				t.Errorf("subscription, %s, from %d behind the end: %v", name, beyond, err)
			}
		}
		es, err := clienttest.Collect(c.ReadAll(clienttest.Within(t), esdb.ReadAllOptions{From: at}, clienttest.Unlimited))
		if behind := beyond > 1; refusedPosition(err) != behind || len(es) != 0 || !behind && err != nil {
			t.Errorf("read from %d behind the end: %d events, %v", beyond, len(es), err)
		}
		back := clienttest.ReadAll(t, c, esdb.ReadAllOptions{From: at, Direction: esdb.Backwards}, clienttest.Unlimited)
		if uint64(len(back)) != end {
			t.Errorf("read backwards from %d behind the end: %d events of %d", beyond, len(back), end)
		}
	}
}

func refusedPosition(err error) bool {
	for ; err != nil && !errors.Is(err, io.EOF); err = errors.Unwrap(err) {
		if s, ok := status.FromError(err); ok && s.Code() == codes.InvalidArgument {
			return true
		}
	}
	return false
}
