package doctor

import (
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/doctor/doctortest"
	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

func topicKeys(tb testing.TB) *topic.Keys { tb.Helper(); return topictest.Keys(tb) }

// published is what a relay puts into each partition.
func published(t testing.TB, w *doctortest.World) [][]kafka.Message {
	parts := make([][]kafka.Message, topic.DefaultPartitions)
	last := make([]uint64, len(parts))
	for _, r := range w.Store.All(0) {
		if !r.Relayed() {
			continue
		}
		p := topic.PartitionOf(r.Stream.Partition(), len(parts))
		parts[p] = append(parts[p], topictest.Message(t, topicKeys(t), topic.DefaultName, p, r, last[p], "memory"))
		last[p] = r.Position
	}
	return parts
}

// fullest is the partition with the most messages.
func fullest(parts [][]kafka.Message) (p int) {
	for i, messages := range parts {
		if len(messages) > len(parts[p]) {
			p = i
		}
	}
	return p
}

func recordOf(t testing.TB, m kafka.Message) topic.Message {
	t.Helper()
	d, err := topic.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBrokenTopics(t *testing.T) {
	w := doctortest.Shop(t)
	full := published(t, w)
	p := fullest(full)
	again := func(m kafka.Message, change func(*es.Record, *uint64)) kafka.Message {
		d := recordOf(t, m)
		change(&d.Record, &d.Prev)
		return topictest.Message(t, topicKeys(t), m.Topic, m.Partition, d.Record, d.Prev, d.Incarnation)
	}
	for _, tt := range []struct {
		name   string
		words  []string // none: nothing is wrong
		change func([]kafka.Message) []kafka.Message
	}{
		{"as it should be", nil, func(m []kafka.Message) []kafka.Message { return m }},
		{"copies", nil, func(m []kafka.Message) []kafka.Message { return append(m, m[len(m)-3:]...) }},
		{"the oldest were deleted", nil, func(m []kafka.Message) []kafka.Message { return m[3:] }},
		{"copies of what was deleted", nil, func(m []kafka.Message) []kafka.Message { return append(slices.Clone(m[3:]), m...) }},
		{"a greater ce_prev", nil, func(m []kafka.Message) []kafka.Message {
			m[4] = again(m[4], func(r *es.Record, prev *uint64) { *prev = r.Position - 1 })
			return m
		}},
		{"two change places", []string{"left out, or comes later"}, func(m []kafka.Message) []kafka.Message {
			m[3], m[4] = m[4], m[3]
			return m
		}},
		{"one is missing", []string{"left out, or comes later"}, func(m []kafka.Message) []kafka.Message { return slices.Delete(m, 3, 4) }},
		{"a gap is hidden", []string{"ce_prev hides a gap"}, func(m []kafka.Message) []kafka.Message {
			m[4] = again(m[4], func(_ *es.Record, prev *uint64) { *prev = recordOf(t, m[2]).Record.Position })
			return m
		}},
		{"another content", []string{"not the event that the log has"}, func(m []kafka.Message) []kafka.Message {
			m[2] = again(m[2], func(r *es.Record, _ *uint64) { r.Data = append(slices.Clone(r.Data), ' ') })
			return m
		}},
		{"signed for the wrong partition", []string{"in another partition"}, func(m []kafka.Message) []kafka.Message {
			other := slices.IndexFunc(full, func(part []kafka.Message) bool { return len(part) > 0 && &part[0] != &full[p][0] })
			foreign := recordOf(t, full[other][0])
			return append(m, topictest.Message(t, topicKeys(t), m[0].Topic, m[0].Partition, foreign.Record, foreign.Prev, foreign.Incarnation))
		}},
		{"another partition's", nil, func(m []kafka.Message) []kafka.Message {
			other := slices.IndexFunc(full, func(part []kafka.Message) bool { return len(part) > 0 && &part[0] != &full[p][0] })
			foreign := full[other][0]
			foreign.Partition = p
			return append(m, foreign)
		}},
		{"signed and malformed", []string{"is not one of the relay's"}, func(m []kafka.Message) []kafka.Message {
			odd := kafka.Message{Topic: m[0].Topic, Partition: p, Value: []byte("hello")}
			if err := topicKeys(t).Sign(&odd); err != nil {
				t.Fatal(err)
			}
			return append(m, odd)
		}},
		{"a message of somebody else", nil, func(m []kafka.Message) []kafka.Message {
			return append(m, kafka.Message{Value: []byte("hello")})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkPartition(t, w, tt.words, tt.change)
		})
	}
	t.Run("no such event", func(t *testing.T) {
		sparse := doctortest.New(t)
		sparse.Store.Step = 2
		sparse.Stocked("A", 100)
		sparse.Place("confirmed", 2, "")
		checkPartition(t, sparse, []string{"no event at this position"}, func(m []kafka.Message) []kafka.Message {
			m[2] = again(m[2], func(r *es.Record, _ *uint64) { r.Position-- })
			return m
		})
	})
}

func checkPartition(t *testing.T, w *doctortest.World, words []string, change func([]kafka.Message) []kafka.Message) {
	t.Helper()
	full := published(t, w)
	p := fullest(full)
	out := &doctor.Report{Checked: map[string]int{}, Breaches: map[string]int{}}
	h := newHistory(Config{Log: w.Store, Catalog: w.Catalog, Sagas: w.Machines, Partitions: topic.DefaultPartitions}, out)
	if err := h.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	watch := &watch{history: h, keys: topicKeys(t), partition: p}
	for _, m := range change(slices.Clone(full[p])) {
		watch.message(m)
	}
	if words == nil {
		if len(out.Findings) > 0 {
			t.Error(out.Findings)
		}
		return
	}
	finds(t, out, "I8", words...)
}

// The same over the wire.
func TestBrokenBroker(t *testing.T) {
	t.Parallel()
	w := doctortest.Shop(t)
	broker, err := kafkaserver.Start(t.Context(), kafkaserver.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	brokers := []string{broker.Addr()}
	if err := topic.Ensure(t.Context(), brokers, topic.DefaultName, topic.DefaultPartitions); err != nil {
		t.Fatal(err)
	}
	produce := func(p int, messages ...kafka.Message) {
		t.Helper()
		topictest.Produce(t, broker.Addr(), p, messages...)
	}
	parts := published(t, w)
	sent := 0
	for p, messages := range parts {
		if len(messages) > 0 {
			produce(p, messages...)
			sent += len(messages)
		}
	}
	cfg := config(w)
	cfg.Brokers, cfg.Keys = brokers, topicKeys(t)
	r := look(t, cfg)
	if !r.Healthy || r.Checked["kafka records"] != sent {
		t.Errorf("%d of %d records, %v", r.Checked["kafka records"], sent, r.Findings)
	}
	produce(0, kafka.Message{Value: []byte("hello")})
	r = look(t, cfg)
	if !r.Healthy || r.Checked["kafka unsigned"] != 1 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "1 messages on "+topic.DefaultName+"/0") {
		t.Errorf("a message without a signature: healthy %v, checked %v, notes %q", r.Healthy, r.Checked, r.Notes)
	}
}
