package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/kafkaread"
	"github.com/daybook-dev/daybook/internal/topic"
)

const (
	fetchWait  = 250 * time.Millisecond
	fetchBytes = 1 << 20
)

// source reads one partition of the topic.
type source struct {
	feed    *Feed
	part    int
	offset  int64  // next to fetch, or kafka.FirstOffset
	cluster string // whose offset it is; "" not known
	failed  bool   // since the cluster was last asked
	high    int64  // the offset after the topic's last message, as last heard
}

// fetch gives the messages that have come, none after a wait. Whatever is not the relay's is left out.
func (s *source) fetch(ctx context.Context, wait time.Duration) ([]topic.Message, error) {
	messages, err := s.tryFetch(ctx, wait)
	if err != nil {
		s.failed = true
		if errors.Is(err, kafka.OffsetOutOfRange) {
			s.offset = kafka.FirstOffset
		} else {
			s.feed.transport.CloseIdleConnections() // it remembers who led before, and keeps connections that have ended
		}
		return nil, fmt.Errorf("fetching %s/%d: %w", s.feed.cfg.Topic, s.part, err)
	}
	return messages, nil
}

func (s *source) tryFetch(ctx context.Context, wait time.Duration) (messages []topic.Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait+5*time.Second)
	defer cancel()
	if s.failed || s.cluster == "" {
		if err := s.sameCluster(ctx); err != nil {
			return nil, err
		}
	}
	page, err := kafkaread.Fetch(ctx, s.feed.client, kafkaread.Request{
		Topic: s.feed.cfg.Topic, Partition: s.part, Offset: s.offset, MaxBytes: fetchBytes, MaxWait: wait,
	})
	if err != nil {
		return nil, err
	}
	s.high, s.offset = page.High, page.Next
	for _, u := range page.Unreadable {
		s.feed.refuse(kafka.Message{Partition: s.part, Offset: u.Offset}, u.Err)
	}
	for _, m := range page.Messages {
		decoded, err := s.feed.cfg.Keys.Open(m)
		if err != nil {
			s.feed.refuse(m, err)
			continue
		}
		messages = append(messages, decoded)
	}
	return messages, nil
}

// sameCluster forgets the offset if the broker is another one than before.
func (s *source) sameCluster(ctx context.Context) error {
	meta, err := s.feed.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{s.feed.cfg.Topic}})
	if err != nil {
		return err
	}
	if s.cluster != "" && s.cluster != meta.ClusterID {
		s.feed.log.Warn("another Kafka cluster answers: starting at its first message", "partition", s.part)
		s.offset = kafka.FirstOffset
	}
	s.cluster, s.failed = meta.ClusterID, false
	return nil
}
