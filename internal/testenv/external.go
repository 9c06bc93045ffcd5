package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/testenv/apachekafka"
	"github.com/daybook-dev/daybook/internal/topic"
)

const (
	givenEventStore = "DAYBOOK_TEST_EVENTSTORE"
	givenKafka      = "DAYBOOK_TEST_KAFKA"
	givenPostgres   = "DAYBOOK_TEST_POSTGRES"
)

func (s *Servers) external(t testing.TB) {
	t.Helper()
	kafkaIs, postgresIs, storeIs := "that of "+givenKafka, "that of "+givenPostgres, "embedded"
	if s.Kafka = os.Getenv(givenKafka); s.Kafka != "" {
		mine(t, givenKafka)
		emptyKafka(t, s.Kafka)
	} else {
		s.Kafka = apachekafka.Start(t).Addr()
		kafkaIs = apachekafka.Version
	}
	if s.EventStore = os.Getenv(givenEventStore); s.EventStore != "" {
		mine(t, givenEventStore)
		mustBeEmpty(t, s.EventStore)
		storeIs = "that of " + givenEventStore
	}
	superuser := os.Getenv(givenPostgres)
	if superuser == "" {
		superuser, postgresIs = ownPostgres(t)
	}
	s.Postgres = database(t, superuser)
	t.Logf("external servers: Apache Kafka %s, Postgres %s, event store %s", kafkaIs, postgresIs, storeIs)
}

// mine waits until no other test on this machine uses what an environment variable names, and keeps others waiting until the
// test ends.
func mine(t testing.TB, name string) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), strings.ToLower(name)+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatalf("waiting for %s: %v", name, err)
	}
	t.Cleanup(func() { _ = lock.Close() })
}

// emptyKafka deletes what another system has left: the topic, and the consumers' groups.
func emptyKafka(t testing.TB, brokers string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	transport := &kafka.Transport{ClientID: "daybook-test"}
	defer transport.CloseIdleConnections()
	c := &kafka.Client{Addr: kafka.TCP(strings.Split(brokers, ",")...), Transport: transport, Timeout: 10 * time.Second}
	if err := errors.Join(deleteGroups(ctx, c), deleteTopic(ctx, c)); err != nil {
		t.Fatalf("emptying the Kafka of %s: %v", givenKafka, err)
	}
}

func deleteGroups(ctx context.Context, c *kafka.Client) error {
	all, err := c.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	var ours []string
	for _, g := range all.Groups {
		if strings.HasPrefix(g.GroupID, topic.DefaultName+".") {
			ours = append(ours, g.GroupID)
		}
	}
	if ours == nil {
		return nil
	}
	res, err := c.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: ours})
	if err != nil {
		return fmt.Errorf("delete groups: %w", err)
	}
	for id, err := range res.Errors {
		if err != nil {
			return fmt.Errorf("delete group %s: %w", id, err)
		}
	}
	return nil
}

// deleteTopic waits until the topic is gone: a broker deletes when it has time to.
func deleteTopic(ctx context.Context, c *kafka.Client) error {
	for {
		res, err := c.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic.DefaultName}})
		if err != nil {
			return fmt.Errorf("delete topic: %w", err)
		}
		if errors.Is(res.Errors[topic.DefaultName], kafka.UnknownTopicOrPartition) {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("delete topic: %w", errors.Join(ctx.Err(), res.Errors[topic.DefaultName]))
		}
	}
}

// mustBeEmpty skips the test if the event store holds orders of another system: nothing could take them away.
func mustBeEmpty(t testing.TB, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := esclient.Open(ctx, esclient.Config{ConnectionString: address})
	if err != nil {
		t.Fatalf("event store of %s: %v", givenEventStore, err)
	}
	defer func() { _ = c.Close() }()
	for r, err := range c.ReadAll(ctx, 0) {
		if err != nil {
			t.Fatalf("event store of %s: %v", givenEventStore, err)
		}
		t.Skipf("SKIP: the event store of %s is not empty (%s at %d): every test needs an empty one", givenEventStore, r.Type, r.Position)
	}
}
