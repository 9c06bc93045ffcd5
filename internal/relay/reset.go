package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/segmentio/kafka-go"
)

// Reset forgets how far the relay has come and deletes the topic: the next relay makes it anew, with its own number of
// partitions, and publishes the whole log. Nothing is lost by it, but checkpoints of consumers that count other
// partitions, or are of another history, must be begun anew too. It refuses while a relay is active.
func Reset(ctx context.Context, pool *pgxpool.Pool, brokers []string, topic string) error {
	t, err := waitForTurn(ctx, Config{Pool: pool}, nil)
	if err != nil {
		return fmt.Errorf("resetting the relay: %w", err)
	}
	defer t.end()
	transport := &kafka.Transport{ClientID: "daybook-relay", DialTimeout: 3 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport, Timeout: 10 * time.Second}
	res, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return fmt.Errorf("resetting the relay: deleting topic %s: %w", topic, err)
	}
	if err := res.Errors[topic]; err != nil && !errors.Is(err, kafka.UnknownTopicOrPartition) {
		return fmt.Errorf("resetting the relay: deleting topic %s: %w", topic, err)
	}
	if _, err := t.conn.Exec(ctx, `delete from daybook.relay`); err != nil {
		return fmt.Errorf("resetting the relay: %w", err)
	}
	return nil
}
