package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/relay"
)

// tails are the newest messages of a topic's partitions. The zero tails are of a topic that is not there, or cannot be asked.
type tails struct {
	partitions int
	newest     []relay.Message
}

// askWithin bounds what a start waits for a Kafka that does not answer.
const askWithin = 3 * time.Second

// topicTails reads the last message of every partition.
func topicTails(ctx context.Context, cfg Config) (tails, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var t tails
	var mu sync.Mutex
	err := cfg.eachPartition(ctx, func(s span) error {
		return s.read(ctx, max(s.first, s.end-1), func(m relay.Message) {
			mu.Lock()
			defer mu.Unlock()
			t.newest = append(t.newest, m)
		})
	}, &t.partitions)
	if err != nil {
		return tails{}, err
	}
	return t, nil
}

// topic compares what Kafka has with the log.
func (p *Plan) topic(t tails, of lineage, cfg Config) {
	if slices.Contains(p.Parts(), Topic) {
		return
	}
	if t.partitions > 0 && t.partitions != cfg.Partitions {
		p.add([]Part{Topic}, "topic %s has %d partitions, this installation has %d", cfg.Topic, t.partitions, cfg.Partitions)
		return
	}
	var others []string
	var beyond uint64
	for _, m := range t.newest {
		if m.Incarnation != of.present() {
			others = append(others, m.Incarnation)
		} else {
			beyond = max(beyond, m.Record.Position)
		}
	}
	slices.Sort(others)
	if others = slices.Compact(others); len(others) > 0 {
		p.add([]Part{Topic}, "topic %s holds messages of incarnation %s of the event store, this one is %s", cfg.Topic, strings.Join(others, ", "), of.present())
	}
	if beyond > p.End {
		p.add([]Part{Topic}, "topic %s holds event %d, but the log ends at %d: the event store has lost its end, or was restored to an older state", cfg.Topic, beyond, p.End)
	}
}

// span is one partition of the topic, from its first offset to its end.
type span struct {
	client     *kafka.Client
	topic      string
	partition  int
	first, end int64
}

// eachPartition calls do for the partitions side by side, and says how many there are.
func (c Config) eachPartition(ctx context.Context, do func(span) error, partitions *int) error {
	transport := &kafka.Transport{ClientID: "daybook-recovery", DialTimeout: askWithin}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(c.Brokers...), Transport: transport, Timeout: fetchTime}
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{c.Topic}})
	if err != nil {
		return fmt.Errorf("asking Kafka for topic %s: %w", c.Topic, err)
	}
	var ask []kafka.OffsetRequest
	for _, t := range meta.Topics {
		if t.Name != c.Topic || t.Error != nil {
			continue
		}
		*partitions = len(t.Partitions)
		for _, p := range t.Partitions {
			ask = append(ask, kafka.FirstOffsetOf(p.ID), kafka.LastOffsetOf(p.ID))
		}
	}
	if len(ask) == 0 {
		return nil
	}
	res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{c.Topic: ask}})
	if err != nil {
		return fmt.Errorf("asking for the offsets of %s: %w", c.Topic, err)
	}
	var group errgroup.Group
	for _, o := range res.Topics[c.Topic] {
		if o.Error != nil {
			return fmt.Errorf("asking for the offsets of %s/%d: %w", c.Topic, o.Partition, o.Error)
		}
		group.Go(func() error { return do(span{client, c.Topic, o.Partition, o.FirstOffset, o.LastOffset}) })
	}
	return group.Wait()
}

const (
	fetchBytes = 4 << 20
	fetchTime  = 15 * time.Second
)

// read gives the messages from an offset to the end. What is no message of a relay is passed over.
func (s span) read(ctx context.Context, from int64, give func(relay.Message)) error {
	for from < s.end {
		next, err := s.fetch(ctx, from, give)
		switch {
		case errors.Is(err, kafka.OffsetOutOfRange):
			return nil // deleted meanwhile
		case err != nil:
			return fmt.Errorf("reading %s/%d: %w", s.topic, s.partition, err)
		case next == from:
			return nil // what is there are no records
		}
		from = next
	}
	return nil
}

func (s span) fetch(ctx context.Context, from int64, give func(relay.Message)) (next int64, err error) {
	res, err := s.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: s.topic, Partition: s.partition, Offset: from, MinBytes: 1, MaxBytes: fetchBytes, MaxWait: time.Second,
	})
	if err != nil {
		return from, err
	}
	defer func() {
		if c, ok := res.Records.(io.Closer); ok {
			_ = c.Close()
		}
	}()
	if res.Error != nil {
		return from, res.Error
	}
	for next = from; ; {
		r, err := res.Records.ReadRecord()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && next > from:
			return next, nil
		case err != nil:
			return next, err
		case r.Offset < from:
			continue
		}
		m := kafka.Message{Topic: s.topic, Partition: s.partition, Offset: r.Offset, Headers: r.Headers}
		if m.Key, err = kafka.ReadAll(r.Key); err != nil {
			return next, err
		}
		if m.Value, err = kafka.ReadAll(r.Value); err != nil {
			return next, err
		}
		next = r.Offset + 1
		if d, err := relay.Decode(m); err == nil {
			give(d)
		}
	}
}
