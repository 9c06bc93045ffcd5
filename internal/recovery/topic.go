package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/kafkaread"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// tails are the newest genuine messages of a topic's partitions. The zero tails are of a topic that is not there, or cannot be asked.
type tails struct {
	partitions int
	newest     []topic.Message
}

// askWithin bounds what a start waits for a Kafka that does not answer, or that holds more of others than can be looked through.
const askWithin = 3 * time.Second

// topicTails reads the last genuine message of every partition. One where none was found in time tells nothing.
func topicTails(ctx context.Context, cfg Config) (tails, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var t tails
	var mu sync.Mutex
	err := cfg.eachPartition(ctx, func(s span) error {
		m, found, err := s.newest(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if found {
			mu.Lock()
			defer mu.Unlock()
			t.newest = append(t.newest, m)
		}
		return nil
	}, &t.partitions)
	if err != nil {
		return tails{}, err
	}
	return t, nil
}

// newest looks for the last genuine message from the end backwards: what others write behind it must not hide it.
func (s span) newest(ctx context.Context) (last topic.Message, found bool, err error) {
	const more = 16
	for back := int64(1); s.end > s.first && !found && err == nil; back *= more {
		from := max(s.first, s.end-back)
		err = s.read(ctx, from, func(m topic.Message) { last, found = m, true })
		s.end = from
	}
	return last, found, err
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
		switch {
		case m.Incarnation != of.present():
			others = append(others, m.Incarnation)
		case m.Filter != es.RelayFilter:
			p.add([]Part{Topic}, "topic %s holds messages that were made under filter %d of what is relayed, this program has filter %d", cfg.Topic, m.Filter, es.RelayFilter)
			return
		default:
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
	keys       *topic.Keys
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
		group.Go(func() error { return do(span{client, c.Keys, c.Topic, o.Partition, o.FirstOffset, o.LastOffset}) })
	}
	return group.Wait()
}

const (
	fetchBytes = 4 << 20
	fetchTime  = 15 * time.Second
)

// read gives the genuine messages from an offset to the end. Whatever else is there is passed over.
func (s span) read(ctx context.Context, from int64, give func(topic.Message)) error {
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

func (s span) fetch(ctx context.Context, from int64, give func(topic.Message)) (next int64, err error) {
	page, err := kafkaread.Fetch(ctx, s.client, kafkaread.Request{
		Topic: s.topic, Partition: s.partition, Offset: from, MaxBytes: fetchBytes, MaxWait: time.Second,
	})
	if err != nil {
		return from, err
	}
	for _, m := range page.Messages {
		if s.keys == nil {
			break
		}
		if d, err := s.keys.Open(m); err == nil {
			give(d)
		}
	}
	return page.Next, nil
}
