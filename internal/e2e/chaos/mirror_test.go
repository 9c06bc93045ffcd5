package chaos_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// seen is a message as the relay's topic had it.
type seen struct {
	topic.Message

	offset int64
	life   int // of its topic
}

// mirror carries what relays publish on to the cluster that consumers read, three times each and not quite in order, and
// remembers what it saw.
type mirror struct {
	t        testing.TB
	from, to cluster
	rng      *rand.Rand

	mu   sync.Mutex
	life int // of the topic in from: offsets begin anew with each

	partitions [topic.DefaultPartitions][]seen
	carried    int // records written
	moved      int // of which so many came before one that they must follow
	dropped    int // could not be written: lost on the way, as far as consumers can tell
}

// run carries until ctx ends.
func (m *mirror) run(ctx context.Context) {
	for ctx.Err() == nil {
		m.mu.Lock()
		life := m.life
		m.mu.Unlock()
		if err := m.session(ctx, life); err != nil && ctx.Err() == nil {
			m.t.Errorf("carrying records from one cluster to the other: %v", err)
			return
		}
	}
}

// instead lets something put another topic in a cluster's place. No record of one is taken for one of the other.
func (m *mirror) instead(where cluster, change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	if where == m.from {
		m.life++
	}
}

// session carries until the topic is another one.
func (m *mirror) session(ctx context.Context, life int) error {
	all := map[int32]kgo.Offset{}
	for p := range int32(topic.DefaultPartitions) {
		all[p] = kgo.NewOffset().AtStart()
	}
	quick := []kgo.Opt{kgo.MetadataMinAge(50 * time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.RetryTimeout(3 * time.Second)}
	in, err := kgo.NewClient(append(quick, kgo.SeedBrokers(strings.Split(m.from.brokers(), ",")...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic.DefaultName: all}), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer in.Close()
	out := outlet{brokers: m.to.brokers(), opts: quick}
	defer out.close()
	for ctx.Err() == nil {
		polling, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := in.PollFetches(polling)
		cancel()
		batch, same, err := m.take(fetches, life)
		if err != nil || !same {
			return err
		}
		lost, err := out.write(ctx, batch)
		if err != nil {
			return err
		}
		m.carried += len(batch) - lost
		m.dropped += lost
	}
	return nil
}

// take remembers what was fetched and gives what is to be written; same is false if the topic is another one by now.
func (m *mirror) take(fetches kgo.Fetches, life int) (batch []*kgo.Record, same bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life != life {
		return nil, false, nil
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, r := range p.Records {
			if seeing := m.see(r, life); seeing != nil {
				err = seeing
			}
		}
		batch = append(batch, m.muddle(p.Records)...)
	})
	return batch, true, err
}

// outlet writes to a cluster that may be replaced.
type outlet struct {
	brokers string
	opts    []kgo.Opt
	client  *kgo.Client
}

func (o *outlet) close() {
	if o.client != nil {
		o.client.Close()
	}
	o.client = nil
}

// write gives how many records could not be written in a few tries, with a new client each.
func (o *outlet) write(ctx context.Context, batch []*kgo.Record) (lost int, err error) {
	for try := 0; try < 3 && len(batch) > 0 && ctx.Err() == nil; try++ {
		if o.client == nil {
			o.client, err = kgo.NewClient(append(o.opts, kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
				kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(2*time.Second), kgo.UnknownTopicRetries(3))...)
			if err != nil {
				return 0, err
			}
		}
		var again []*kgo.Record
		for _, r := range o.client.ProduceSync(ctx, batch...) {
			if r.Err != nil {
				again = append(again, r.Record)
			}
		}
		if batch = again; len(batch) > 0 {
			o.close()
		}
	}
	return len(batch), nil
}

func (m *mirror) see(r *kgo.Record, life int) error {
	msg := kafka.Message{Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		msg.Headers = append(msg.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	d, err := topic.Decode(msg)
	if err != nil {
		return err
	}
	d.Record.Data, d.Record.Meta = nil, nil // the doctor looks at those
	m.partitions[r.Partition] = append(m.partitions[r.Partition], seen{d, r.Offset, life})
	return nil
}

// readOnce leaves out what was read again after an interruption.
func readOnce(all []seen) (once []seen) {
	before := seen{offset: -1}
	for _, s := range all {
		if s.life != before.life || s.offset > before.offset {
			once = append(once, s)
			before = s
		}
	}
	return once
}

// again is how many messages had been published before.
func (m *mirror) again() (copies int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, all := range m.partitions {
		var high uint64
		for _, s := range readOnce(all) {
			if s.Record.Position <= high {
				copies++
			}
			high = max(high, s.Record.Position)
		}
	}
	return copies
}

// farthest is how many records a copy may come before or after its place.
const farthest = 8

// muddle gives three copies of each record, half of the time in order, else each up to farthest from its place.
func (m *mirror) muddle(records []*kgo.Record) []*kgo.Record {
	type copied struct {
		*kgo.Record

		n     int
		place float64
	}
	var all []copied
	wild := float64(m.rng.IntN(2)) * farthest
	for i, r := range records {
		for range 3 {
			all = append(all, copied{
				&kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers},
				i, float64(i) + 2*wild*(m.rng.Float64()-0.5),
			})
		}
	}
	slices.SortStableFunc(all, func(a, b copied) int { return cmp.Compare(a.place, b.place) })
	out := make([]*kgo.Record, len(all))
	high := 0
	for i, c := range all {
		out[i] = c.Record
		if c.n < high {
			m.moved++
		}
		high = max(high, c.n)
	}
	return out
}

// firstCopies holds everything that was on the relay's topic to the log: each message the event that it says, with a ce_prev
// that hides nothing, and first copies in order (I8), whatever was deleted meanwhile. It gives how many were copies.
func (m *mirror) firstCopies(log []es.Record) (messages, copies int) {
	m.t.Helper()
	type place struct {
		partition int
		prev      uint64
		id        es.UUID
	}
	truth := map[uint64]place{}
	var last [topic.DefaultPartitions]uint64
	for _, r := range log {
		p := topic.PartitionOf(r.Stream.Partition(), topic.DefaultPartitions)
		truth[r.Position] = place{p, last[p], r.ID}
		last[p] = r.Position
	}
	for p, all := range m.partitions {
		var high uint64
		before := seen{offset: -1}
		for _, s := range readOnce(all) {
			// A record may have been deleted before it was carried: then offsets have a hole, or the topic is another one.
			unbroken := s.life == before.life && s.offset == before.offset+1 && before.offset >= 0
			before = s
			messages++
			want, known := truth[s.Record.Position]
			switch {
			case !known || want.id != s.Record.ID || want.partition != p:
				m.t.Errorf("I8: %d@%d: %s at %d is not the log's", p, s.offset, s.Record.ID, s.Record.Position)
			case s.Prev < want.prev:
				m.t.Errorf("I8: %d@%d: ce_prev of position %d is %d, and %d is between", p, s.offset, s.Record.Position, s.Prev, want.prev)
			case s.Record.Position <= high:
				copies++
				continue
			case unbroken && want.prev > high:
				m.t.Errorf("I8: %d@%d: position %d comes before %d", p, s.offset, s.Record.Position, want.prev)
			}
			high = max(high, s.Record.Position)
		}
	}
	return messages, copies
}
