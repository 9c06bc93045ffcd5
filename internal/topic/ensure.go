package topic

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/checkpoint"
)

const (
	// MaxMessageBytes is the topic's limit of a batch. Batches are kept far below it; a single event may come near.
	MaxMessageBytes = 2 << 20
	// Retention is how long messages stay. Consumers that come later catch up from the store.
	Retention = 24 * time.Hour
	// retentionBytes bounds one partition; whole segments are deleted. The embedded broker keeps 72 bytes in memory for each batch that is
	// there, and one of a few events has about two kilobytes.
	retentionBytes = 32 << 20
	segmentBytes   = 8 << 20
	// settling is how often a new topic is looked at before what is seen is believed.
	settling = 50
)

// Ensure creates the topic if it is not there, waits until each of its partitions has a leader, and checks that
// there are n of them: a *checkpoint.MismatchError if not.
func Ensure(ctx context.Context, brokers []string, name string, n int) error {
	// A transport of its own: another one would answer from its memory.
	transport := &kafka.Transport{ClientID: "daybook-relay", DialTimeout: 3 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport, Timeout: 10 * time.Second}

	created := false
	for try := 0; ; try++ {
		have, err := partitionsOf(ctx, client, name)
		switch {
		case err == nil && have == n:
			return nil
		case err == nil && (have > n || try > settling):
			return &checkpoint.MismatchError{
				What:   fmt.Sprintf("topic %s has %d partitions, this installation has %d", name, have, n),
				Remedy: "run `daybook recover`, which makes the topic anew",
			}
		case errors.Is(err, kafka.UnknownTopicOrPartition) && !created:
			if err := createTopic(ctx, client, name, n); err != nil {
				return fmt.Errorf("creating topic %s: %w", name, err)
			}
			created = true
		case err != nil && try > settling:
			return fmt.Errorf("asking for topic %s: %w", name, err)
		}
		// A topic is not there whole, with leaders, the moment it is made.
		if err := backoff.Wait(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for topic %s: %w", name, err)
		}
		transport.CloseIdleConnections() // and with them what the client remembers
	}
}

func createTopic(ctx context.Context, client *kafka.Client, name string, n int) error {
	res, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: name, NumPartitions: n, ReplicationFactor: -1, // the cluster's own default
		ConfigEntries: []kafka.ConfigEntry{
			{ConfigName: "cleanup.policy", ConfigValue: "delete"},
			{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(MaxMessageBytes)},
			{ConfigName: "compression.type", ConfigValue: "uncompressed"}, // what others compress is inflated, and bounded, by the broker
			{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(Retention.Milliseconds(), 10)},
			{ConfigName: "retention.bytes", ConfigValue: strconv.Itoa(retentionBytes)},
			{ConfigName: "segment.bytes", ConfigValue: strconv.Itoa(segmentBytes)},
		},
	}}})
	if err != nil {
		return err
	}
	if err := res.Errors[name]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) { // somebody else was faster
		return err
	}
	return nil
}

// partitionsOf counts a topic's partitions; it is an error if one has no leader.
func partitionsOf(ctx context.Context, client *kafka.Client, name string) (int, error) {
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{name}})
	if err != nil {
		return 0, err
	}
	for _, t := range meta.Topics {
		if t.Name != name {
			continue
		}
		if t.Error != nil {
			return 0, t.Error
		}
		for _, p := range t.Partitions {
			if p.Error != nil {
				return 0, fmt.Errorf("partition %d: %w", p.ID, p.Error)
			}
		}
		if len(t.Partitions) > 0 {
			return len(t.Partitions), nil
		}
	}
	return 0, kafka.UnknownTopicOrPartition
}

// Delete deletes a topic if it is there: the next relay makes it anew, with its own number of partitions.
func Delete(ctx context.Context, brokers []string, name string) error {
	transport := &kafka.Transport{ClientID: "daybook-relay", DialTimeout: 3 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport, Timeout: 10 * time.Second}
	res, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{name}})
	if err == nil {
		err = res.Errors[name]
	}
	if err != nil && !errors.Is(err, kafka.UnknownTopicOrPartition) {
		return fmt.Errorf("deleting topic %s: %w", name, err)
	}
	return nil
}
