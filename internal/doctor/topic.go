package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/kafkaread"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/doctor"
)

const (
	fetchBytes = 4 << 20
	fetchTime  = 15 * time.Second
)

// checkTopic is I8: it reads every record that the topic still holds.
func checkTopic(ctx context.Context, cfg Config, h *history, r *doctor.Report) error {
	if len(cfg.Brokers) == 0 {
		r.Skipf("Kafka: no address")
		return nil
	}
	if cfg.Keys == nil {
		r.Skipf("Kafka: no keys of its messages")
		return nil
	}
	transport := &kafka.Transport{ClientID: "daybook-doctor", DialTimeout: 5 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: transport, Timeout: fetchTime}
	ends, err := offsets(ctx, client, cfg)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		r.Skipf("Kafka: there is no topic %s", cfg.Topic)
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for the offsets of %s: %w", cfg.Topic, err)
	}
	if len(ends) != cfg.Partitions {
		r.Find(doctor.Finding{Invariant: "I8", Row: cfg.Topic, Problem: "the topic's partitions"}.Values(cfg.Partitions, len(ends)))
		return nil
	}
	for p := range cfg.Partitions {
		w := &watch{history: h, keys: cfg.Keys, partition: p}
		if err := fetchAll(ctx, client, cfg.Topic, p, ends[p], w); err != nil {
			return fmt.Errorf("reading %s/%d: %w", cfg.Topic, p, err)
		}
		r.Checked["kafka records"] += w.records
		r.Checked["kafka duplicates"] += w.repeated
		if n := len(w.unreadable); n > 0 {
			r.Checked["kafka unreadable"] += n
			r.Notef("%d batches on %s/%d cannot be read and are skipped by every consumer, the first at offset %d: %v",
				n, cfg.Topic, p, w.unreadable[0].Offset, w.unreadable[0].Err)
		}
		for _, reason := range topic.UnverifiedReasons() {
			u := w.unverified[reason]
			if u.count == 0 {
				continue
			}
			r.Checked["kafka "+strings.ReplaceAll(string(reason), "_", " ")] += u.count
			r.Notef("%d messages on %s/%d are not the relay's and are skipped by every consumer, the first at offset %d: %s",
				u.count, cfg.Topic, p, u.first, reason.Error())
		}
	}
	return nil
}

type span struct{ first, end int64 }

func offsets(ctx context.Context, client *kafka.Client, cfg Config) (map[int]span, error) {
	ask := make([]kafka.OffsetRequest, 0, 2*cfg.Partitions)
	for p := range cfg.Partitions {
		ask = append(ask, kafka.FirstOffsetOf(p), kafka.LastOffsetOf(p))
	}
	res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{cfg.Topic: ask}})
	if err != nil {
		return nil, err
	}
	ends := map[int]span{}
	for _, o := range res.Topics[cfg.Topic] {
		if o.Error != nil {
			return nil, o.Error
		}
		ends[o.Partition] = span{o.FirstOffset, o.LastOffset}
	}
	return ends, nil
}

func fetchAll(ctx context.Context, client *kafka.Client, topic string, partition int, s span, w *watch) error {
	for at := s.first; at < s.end; {
		next, err := fetch(ctx, client, topic, partition, at, w)
		switch {
		case errors.Is(err, kafka.OffsetOutOfRange):
			return nil // deleted meanwhile
		case err != nil:
			return err
		case next == at:
			return fmt.Errorf("nothing comes from offset %d on, the end is %d", at, s.end)
		}
		at = next
	}
	return nil
}

func fetch(ctx context.Context, client *kafka.Client, topic string, partition int, from int64, w *watch) (next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	page, err := kafkaread.Fetch(ctx, client, kafkaread.Request{
		Topic: topic, Partition: partition, Offset: from, MaxBytes: fetchBytes, MaxWait: time.Second,
	})
	if err != nil {
		return from, err
	}
	for _, m := range page.Messages {
		w.message(m)
	}
	w.unreadable = append(w.unreadable, page.Unreadable...)
	return page.Next, nil
}

// watch watches one partition in the order of offsets.
type watch struct {
	history    *history
	keys       *topic.Keys
	partition  int
	records    int
	repeated   int
	unreadable []kafkaread.Unreadable
	unverified map[topic.Unverified]unverified
	high       uint64 // the greatest position so far; what is not greater is a copy, of what may have been deleted
}

// unverified is messages that are skipped because they are not the relay's.
type unverified struct {
	count int
	first int64 // offset
}

func (w *watch) message(m kafka.Message) {
	w.records++
	h := w.history
	f := doctor.Finding{Invariant: "I8", Row: fmt.Sprintf("%s/%d@%d", m.Topic, m.Partition, m.Offset)}
	d, err := w.keys.Open(m)
	if reason, ok := errors.AsType[topic.Unverified](err); ok {
		if w.unverified == nil {
			w.unverified = map[topic.Unverified]unverified{}
		}
		u := w.unverified[reason]
		if u.count++; u.count == 1 {
			u.first = m.Offset
		}
		w.unverified[reason] = u
		return
	}
	if err != nil {
		f.Problem = err.Error()
		h.out.Find(f)
		return
	}
	rec := d.Record
	revision := rec.Revision
	f.Stream, f.Revision, f.Position = rec.Stream.String(), &revision, rec.Position
	if rec.Position > h.end {
		return // recorded after the log was read
	}
	truth, recorded := h.places[rec.Position]
	switch {
	case !recorded:
		f.Problem = "the log has no event at this position"
		h.out.Find(f)
		return
	case truth.partition != w.partition:
		f.Problem = "it is in another partition than its key's"
		h.out.Find(f.Values(truth.partition, w.partition))
		return
	case truth.sum != sumOf(rec):
		f.Problem = "it is not the event that the log has at this position"
		h.out.Find(f)
	}
	if d.Prev < truth.prev {
		f.Problem = "its ce_prev hides a gap"
		h.out.Find(f.Values(fmt.Sprintf("at least %d", truth.prev), d.Prev))
	}
	switch {
	case w.high == 0:
		w.high = rec.Position // what is before it has been deleted, or was never on this broker
	case rec.Position <= w.high:
		w.repeated++
	default:
		if truth.prev > w.high {
			f.Problem = "an event before it was left out, or comes later"
			h.out.Find(f.Values(fmt.Sprintf("position %d", truth.prev), rec.Position))
		}
		w.high = rec.Position
	}
}
