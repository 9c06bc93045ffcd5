package eventserver_test

import (
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver"
)

func group(t *testing.T, c *esdb.Client, stream string, from esdb.StreamPosition, change ...func(*esdb.PersistentSubscriptionSettings)) {
	t.Helper()
	set := esdb.SubscriptionSettingsDefault()
	for _, f := range change {
		f(&set)
	}
	err := c.CreatePersistentSubscription(within(t), stream, "g", esdb.PersistentStreamSubscriptionOptions{Settings: &set, StartFrom: from})
	if err != nil {
		t.Fatal(err)
	}
}

func consume(t *testing.T, c *esdb.Client, stream string, buffer uint32) *esdb.PersistentSubscription {
	t.Helper()
	sub, err := c.SubscribeToPersistentSubscription(within(t), stream, "g", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: buffer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() })
	return sub
}

func delivered(t *testing.T, sub *esdb.PersistentSubscription) (*esdb.ResolvedEvent, int) {
	t.Helper()
	e := sub.Recv()
	if e.EventAppeared == nil {
		t.Fatalf("%+v", e)
	}
	return e.EventAppeared.Event, e.EventAppeared.RetryCount
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waitParked waits until so many messages are parked and gives what they link to.
func waitParked(t *testing.T, c *esdb.Client, stream string, n int) []*esdb.ResolvedEvent {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		info, err := c.GetPersistentSubscriptionInfo(within(t), stream, "g", esdb.GetPersistentSubscriptionOptions{})
		must(t, err)
		if int(info.Stats.ParkedMessagesCount) == n {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d parked, want %d", info.Stats.ParkedMessagesCount, n)
		}
	}
	if n == 0 {
		return nil
	}
	return readStream(t, c, "$persistentsubscription-"+stream+"::g-parked", esdb.ReadStreamOptions{ResolveLinkTos: true}, unlimited)
}

func TestPersistentManagement(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	group(t, c, "s", esdb.Start{})
	err := c.CreatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{})
	if code(err) != esdb.ErrorCodeResourceAlreadyExists {
		t.Errorf("second create: %v", err)
	}
	set := esdb.SubscriptionSettingsDefault()
	set.MaxSubscriberCount, set.MaxRetryCount = 1, 77
	must(t, c.UpdatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{Settings: &set}))
	info, err := c.GetPersistentSubscriptionInfo(within(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
	if err != nil || info.Settings.MaxRetryCount != 77 || info.EventSource != "s" || info.GroupName != "g" {
		t.Errorf("info %+v %v", info, err)
	}
	first := consume(t, c, "s", 1)
	if _, err := c.SubscribeToPersistentSubscription(within(t), "s", "g", esdb.SubscribeToPersistentSubscriptionOptions{}); err == nil {
		t.Error("a second consumer of a group for one")
	}
	for _, stream := range []string{"a", "b"} {
		must(t, c.CreatePersistentSubscription(within(t), stream, "g", esdb.PersistentStreamSubscriptionOptions{}))
	}
	all, err := c.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(all) != 3 {
		t.Errorf("list: %d %v", len(all), err)
	}
	one, err := c.ListPersistentSubscriptionsForStream(within(t), "b", esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(one) != 1 {
		t.Errorf("list of b: %d %v", len(one), err)
	}
	must(t, c.DeletePersistentSubscription(within(t), "s", "g", esdb.DeletePersistentSubscriptionOptions{}))
	if e := first.Recv(); e.SubscriptionDropped == nil {
		t.Errorf("the deleted group's consumer got %+v", e)
	}
	for _, err := range []error{
		c.DeletePersistentSubscription(within(t), "s", "g", esdb.DeletePersistentSubscriptionOptions{}),
		c.UpdatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{}),
		c.ReplayParkedMessages(within(t), "s", "g", esdb.ReplayParkedMessagesOptions{}),
	} {
		if code(err) != esdb.ErrorCodeResourceNotFound {
			t.Errorf("on a deleted group: %v", err)
		}
	}
	must(t, c.RestartPersistentSubscriptionSubsystem(within(t), esdb.RestartPersistentSubscriptionSubsystemOptions{}))
	if all, err = c.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{}); err != nil || len(all) != 2 {
		t.Errorf("list after a restart: %d %v", len(all), err)
	}
}

// TestPersistentRestart: delivery goes on behind the checkpoint, and settings and parked messages are kept.
func TestPersistentRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(cfg *eventserver.Config) { cfg.Dir = dir }
	s := start(t, at)
	c := connect(t, s)
	appendTo(t, c, "s", esdb.NoStream{}, events(10)...)
	group(t, c, "s", esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.CheckpointLowerBound, s.CheckpointUpperBound = 1, 1 })
	sub := consume(t, c, "s", 3)
	for i := range 6 {
		e, _ := delivered(t, sub)
		if i == 4 {
			must(t, sub.Nack("later", esdb.NackActionPark, e))
		} else {
			must(t, sub.Ack(e))
		}
	}
	waitParked(t, c, "s", 1)
	for deadline := time.Now().Add(20 * time.Second); ; {
		info, err := c.GetPersistentSubscriptionInfo(within(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
		must(t, err)
		if n := info.Stats.LastCheckpointedEventRevision; n != nil && *n == 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no checkpoint at 5: %+v", info.Stats)
		}
	}
	must(t, s.Close())
	c = connect(t, start(t, at))
	sub = consume(t, c, "s", 3)
	if e, _ := delivered(t, sub); e.Event.EventNumber != 6 {
		t.Errorf("after a restart: got %d, want 6", e.Event.EventNumber)
	}
	waitParked(t, c, "s", 1)
}
