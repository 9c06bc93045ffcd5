package topictest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/topic"
)

// Produce writes messages to a partition of the relay's topic, once each. A broker that has just made the topic, or is busy, may
// not lead the partition yet: it has written nothing then, and is asked again.
func Produce(tb testing.TB, addr string, partition int, messages ...kafka.Message) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	for {
		err := produce(ctx, addr, partition, messages)
		if err == nil {
			return
		}
		leaderless := errors.Is(err, kafka.NotLeaderForPartition) || errors.Is(err, kafka.LeaderNotAvailable) || errors.Is(err, kafka.UnknownTopicOrPartition)
		if !leaderless || ctx.Err() != nil {
			tb.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func produce(ctx context.Context, addr string, partition int, messages []kafka.Message) error {
	records := make([]kafka.Record, len(messages))
	for i, m := range messages {
		records[i] = kafka.Record{Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value), Headers: m.Headers}
	}
	transport := &kafka.Transport{} // which remembers leaders: a new one each time
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	res, err := client.Produce(ctx, &kafka.ProduceRequest{
		Topic: topic.DefaultName, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return fmt.Errorf("write %d messages to partition %d: %w", len(messages), partition, err)
	}
	return nil
}
