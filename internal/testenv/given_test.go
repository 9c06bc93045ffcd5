package testenv

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// Servers that are given by address are emptied of what the last test left, as far as that can be done, and refused otherwise.
func TestGivenServers(t *testing.T) {
	broker, err := kafkaserver.Start(t.Context(), kafkaserver.Config{Dir: t.TempDir(), Listen: anyPort})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	store, err := eventserver.Start(t.Context(), eventserver.Config{Dir: t.TempDir(), Listen: anyPort})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	superuser, _ := ownPostgres(t)
	t.Setenv(givenKafka, broker.Addr())
	t.Setenv(givenPostgres, superuser)
	t.Setenv(givenEventStore, "esdb://"+store.Addr()+"?tls=false")

	var first Servers
	t.Run("first", func(t *testing.T) {
		first = *On(t, External)
		if first.Kafka != broker.Addr() || first.EventStore == "" {
			t.Errorf("%+v", first)
		}
		leave(t, first)
	})
	t.Setenv(givenEventStore, "")
	t.Run("second", func(t *testing.T) {
		second := On(t, External)
		if second.Postgres == first.Postgres {
			t.Error("the database of the first")
		}
		if n := topics(t, second.Kafka); n != 0 {
			t.Errorf("%d topics of the first", n)
		}
	})
	t.Setenv(givenEventStore, first.EventStore)
	skipped := false
	t.Run("third", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		On(t, External)
	})
	if !skipped {
		t.Error("an event store with events of another system was used")
	}
}

// leave puts a topic and an event there.
func leave(t *testing.T, s Servers) {
	t.Helper()
	if err := topic.Ensure(t.Context(), []string{s.Kafka}, topic.DefaultName, 3); err != nil {
		t.Fatal(err)
	}
	if n := topics(t, s.Kafka); n != 1 {
		t.Fatalf("%d topics were made", n)
	}
	c, err := esclient.Open(t.Context(), esclient.Config{ConnectionString: s.EventStore})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Append(t.Context(), es.StreamID{Category: "order", Key: "o1"}, es.NoStream, []es.Proposed{{ID: es.UUID(uuid.New()), Type: "order.placed", Data: []byte(`{}`)}}); err != nil {
		t.Fatal(err)
	}
}

func topics(t *testing.T, broker string) (n int) {
	t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	meta, err := (&kafka.Client{Addr: kafka.TCP(broker), Transport: transport, Timeout: 5 * time.Second}).Metadata(t.Context(), &kafka.MetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range meta.Topics {
		if !topic.Internal {
			n++
		}
	}
	return n
}
