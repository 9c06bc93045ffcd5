package feed

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/kafkaread"
	"github.com/daybook-dev/daybook/internal/topic"
)

// Why a message is skipped, besides topic.Unverified.
const (
	malformed = "malformed" // in a batch that cannot be read, or signed and not one of the relay's
	beyond    = "beyond"    // of an event that the log does not have
)

func refusals() []string {
	all := []string{malformed, beyond}
	for _, u := range topic.UnverifiedReasons() {
		all = append(all, string(u))
	}
	return all
}

// sayEvery bounds how often skipped messages are logged, by reason.
const sayEvery = 10 * time.Second

// refused counts the messages that were skipped, and says so now and then.
type refused struct {
	mu   sync.Mutex
	said map[string]said
}

type said struct {
	at    time.Time
	since int // skipped since then
}

// open gives a page's messages that are the relay's, and notes the others.
func (f *Feed) open(partition int, page kafkaread.Page) []topic.Message {
	for _, u := range page.Unreadable {
		f.refuse(kafka.Message{Partition: partition, Offset: u.Offset}, u.Err)
	}
	var messages []topic.Message
	for _, m := range page.Messages {
		decoded, err := f.cfg.Keys.Open(m)
		if err != nil {
			f.refuse(m, err)
			continue
		}
		messages = append(messages, decoded)
	}
	return messages
}

// refuse notes a message that is not the relay's.
func (f *Feed) refuse(m kafka.Message, err error) {
	reason := malformed
	if u, ok := errors.AsType[topic.Unverified](err); ok {
		reason = string(u)
	}
	f.refused.note(f, reason, m.Partition, err, slog.Int64("offset", m.Offset))
}

func (r *refused) note(f *Feed, reason string, partition int, err error, attrs ...any) {
	f.metrics.refused.WithLabelValues(reason).Inc()
	r.mu.Lock()
	s, now := r.said[reason], time.Now()
	s.since++
	quiet := now.Sub(s.at) < sayEvery
	n := s.since
	if !quiet {
		s = said{at: now}
	}
	if r.said == nil {
		r.said = map[string]said{}
	}
	r.said[reason] = s
	r.mu.Unlock()
	if !quiet {
		f.log.Warn("messages that are not the relay's are skipped; what they may hide is read from the event store",
			append(attrs, "reason", reason, "messages", n, "partition", partition, "error", err)...)
	}
}
