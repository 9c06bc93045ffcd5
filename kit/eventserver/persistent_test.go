package eventserver_test

import (
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

func TestPersistentManagement(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	clienttest.CreateGroup(t, c, "s", esdb.Start{})
	err := c.CreatePersistentSubscription(clienttest.Within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{})
	if clienttest.Code(err) != esdb.ErrorCodeResourceAlreadyExists {
		t.Errorf("second create: %v", err)
	}
	set := esdb.SubscriptionSettingsDefault()
	set.MaxSubscriberCount, set.MaxRetryCount = 1, 77
	clienttest.Must(t, c.UpdatePersistentSubscription(clienttest.Within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{Settings: &set}))
	info, err := c.GetPersistentSubscriptionInfo(clienttest.Within(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
	if err != nil || info.Settings.MaxRetryCount != 77 || info.EventSource != "s" || info.GroupName != "g" {
		t.Errorf("info %+v %v", info, err)
	}
	first := clienttest.Consume(t, c, "s", 1)
	if _, err := c.SubscribeToPersistentSubscription(clienttest.Within(t), "s", "g", esdb.SubscribeToPersistentSubscriptionOptions{}); err == nil {
		t.Error("a second consumer of a group for one")
	}
	for _, stream := range []string{"a", "b"} {
		clienttest.Must(t, c.CreatePersistentSubscription(clienttest.Within(t), stream, "g", esdb.PersistentStreamSubscriptionOptions{}))
	}
	all, err := c.ListAllPersistentSubscriptions(clienttest.Within(t), esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(all) != 3 {
		t.Errorf("list: %d %v", len(all), err)
	}
	one, err := c.ListPersistentSubscriptionsForStream(clienttest.Within(t), "b", esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(one) != 1 {
		t.Errorf("list of b: %d %v", len(one), err)
	}
	clienttest.Must(t, c.DeletePersistentSubscription(clienttest.Within(t), "s", "g", esdb.DeletePersistentSubscriptionOptions{}))
	if e := first.Recv(); e.SubscriptionDropped == nil {
		t.Errorf("the deleted group's consumer got %+v", e)
	}
	for _, err := range []error{
		c.DeletePersistentSubscription(clienttest.Within(t), "s", "g", esdb.DeletePersistentSubscriptionOptions{}),
		c.UpdatePersistentSubscription(clienttest.Within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{}),
		c.ReplayParkedMessages(clienttest.Within(t), "s", "g", esdb.ReplayParkedMessagesOptions{}),
	} {
		if clienttest.Code(err) != esdb.ErrorCodeResourceNotFound {
			t.Errorf("on a deleted group: %v", err)
		}
	}
	clienttest.Must(t, c.RestartPersistentSubscriptionSubsystem(clienttest.Within(t), esdb.RestartPersistentSubscriptionSubsystemOptions{}))
	if all, err = c.ListAllPersistentSubscriptions(clienttest.Within(t), esdb.ListPersistentSubscriptionsOptions{}); err != nil || len(all) != 2 {
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
	clienttest.Append(t, c, "s", esdb.NoStream{}, clienttest.Events(10)...)
	clienttest.CreateGroup(t, c, "s", esdb.Start{}, func(s *esdb.PersistentSubscriptionSettings) { s.CheckpointLowerBound, s.CheckpointUpperBound = 1, 1 })
	sub := clienttest.Consume(t, c, "s", 3)
	for i := range 6 {
		e, _ := clienttest.Delivered(t, sub)
		if i == 4 {
			clienttest.Must(t, sub.Nack("later", esdb.NackActionPark, e))
		} else {
			clienttest.Must(t, sub.Ack(e))
		}
	}
	clienttest.WaitParked(t, c, "s", 1)
	for deadline := time.Now().Add(time.Minute); ; {
		info, err := c.GetPersistentSubscriptionInfo(clienttest.Within(t), "s", "g", esdb.GetPersistentSubscriptionOptions{})
		clienttest.Must(t, err)
		if n := info.Stats.LastCheckpointedEventRevision; n != nil && *n == 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no checkpoint at 5: %+v", info.Stats)
		}
	}
	clienttest.Must(t, s.Close())
	c = connect(t, start(t, at))
	sub = clienttest.Consume(t, c, "s", 3)
	if e, _ := clienttest.Delivered(t, sub); e.Event.EventNumber != 6 {
		t.Errorf("after a restart: got %d, want 6", e.Event.EventNumber)
	}
	clienttest.WaitParked(t, c, "s", 1)
}
