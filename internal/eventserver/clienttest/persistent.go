package clienttest

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// Group is the name of the persistent subscription of a stream.
const Group = "g"

// CreateGroup creates it.
func CreateGroup(t testing.TB, c *esdb.Client, stream string, from esdb.StreamPosition, change ...func(*esdb.PersistentSubscriptionSettings)) {
	t.Helper()
	set := esdb.SubscriptionSettingsDefault()
	for _, f := range change {
		f(&set)
	}
	Must(t, c.CreatePersistentSubscription(Within(t), stream, Group, esdb.PersistentStreamSubscriptionOptions{Settings: &set, StartFrom: from}))
}

// Consume subscribes to it, with at most buffer messages in flight.
func Consume(t testing.TB, c *esdb.Client, stream string, buffer uint32) *esdb.PersistentSubscription {
	t.Helper()
	sub, err := c.SubscribeToPersistentSubscription(Within(t), stream, Group, esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: buffer})
	Must(t, err)
	t.Cleanup(func() { _ = sub.Close() })
	return sub
}

// Delivered waits for the next message and tells how often it was retried.
func Delivered(t testing.TB, sub *esdb.PersistentSubscription) (*esdb.ResolvedEvent, int) {
	t.Helper()
	e := sub.Recv()
	if e.EventAppeared == nil {
		t.Fatalf("%+v", e)
	}
	return e.EventAppeared.Event, e.EventAppeared.RetryCount
}

// WaitParked waits until so many messages are parked, by count and in the parked stream, and gives what they link to.
func WaitParked(t testing.TB, c *esdb.Client, stream string, n int) (parked []*esdb.ResolvedEvent) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%d messages are parked", n), func() bool {
		info, err := c.GetPersistentSubscriptionInfo(Within(t), stream, Group, esdb.GetPersistentSubscriptionOptions{})
		Must(t, err)
		if int(info.Stats.ParkedMessagesCount) != n {
			return false
		}
		if n > 0 {
			parked = ReadStream(t, c, "$persistentsubscription-"+stream+"::"+Group+"-parked", esdb.ReadStreamOptions{ResolveLinkTos: true}, Unlimited)
		}
		return len(parked) == n
	})
	return parked
}
