package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/segmentio/kafka-go"
)

// Alone calls do with a connection that holds the lock of the active relay: no relay publishes meanwhile. It refuses while one
// is active.
func Alone(ctx context.Context, pool *pgxpool.Pool, do func(*pgx.Conn) error) error {
	t, err := waitForTurn(ctx, Config{Pool: pool}, nil)
	if err != nil {
		return err
	}
	defer t.end()
	return do(t.conn)
}

// DeleteTopic deletes a topic if it is there: the next relay makes it anew, with its own number of partitions.
func DeleteTopic(ctx context.Context, brokers []string, topic string) error {
	transport := &kafka.Transport{ClientID: "daybook-relay", DialTimeout: 3 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport, Timeout: 10 * time.Second}
	res, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil && !errors.Is(err, kafka.UnknownTopicOrPartition) {
		return fmt.Errorf("deleting topic %s: %w", topic, err)
	}
	return nil
}

// Forget removes the relay's checkpoint: the next relay publishes the whole log. Nothing is lost by it.
func Forget(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `delete from daybook.relay`)
	return err
}
