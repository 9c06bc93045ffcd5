package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/relay"
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

// fetch gives the messages that have come, none after a wait. Whatever is not the relay's is left out unread.
func (s *source) fetch(ctx context.Context, wait time.Duration) ([]relay.Message, error) {
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

func (s *source) tryFetch(ctx context.Context, wait time.Duration) ([]relay.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait+5*time.Second)
	defer cancel()
	if s.failed || s.cluster == "" {
		if err := s.sameCluster(ctx); err != nil {
			return nil, err
		}
	}
	res, err := s.feed.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: s.feed.cfg.Topic, Partition: s.part, Offset: s.offset, MinBytes: 1, MaxBytes: fetchBytes, MaxWait: wait,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if c, ok := res.Records.(io.Closer); ok {
			_ = c.Close()
		}
	}()
	if res.Error != nil {
		return nil, res.Error
	}
	s.high = res.HighWatermark
	if s.offset > res.HighWatermark || s.offset >= 0 && s.offset < res.LogStartOffset {
		return nil, kafka.OffsetOutOfRange
	}
	return s.read(res.Records)
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

func (s *source) read(records kafka.RecordReader) (messages []relay.Message, err error) {
	for {
		r, err := records.ReadRecord()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && len(messages) > 0 {
			return messages, nil // a batch may be cut off at the end
		}
		if err != nil {
			return messages, err
		}
		if r.Offset < s.offset { // batches come whole
			continue
		}
		m := kafka.Message{Topic: s.feed.cfg.Topic, Partition: s.part, Offset: r.Offset, Headers: r.Headers}
		if m.Key, err = kafka.ReadAll(r.Key); err != nil {
			return messages, err
		}
		if m.Value, err = kafka.ReadAll(r.Value); err != nil {
			return messages, err
		}
		s.offset = r.Offset + 1
		decoded, err := s.feed.cfg.Keys.Open(m)
		if err != nil {
			s.feed.refuse(m, err)
			continue
		}
		messages = append(messages, decoded)
	}
}
