package chaos_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/kafkaread"
	"github.com/daybook-dev/daybook/internal/kafkaread/kafkareadtest"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/market"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
)

// TestHostileTopic lets orders through while somebody who may write to the topic writes to it all the while: messages that are made up,
// forged, repeated, out of order, on other partitions, beyond the log, and batches that cannot be read, on a broker that looks into none.
// Every order ends as it must, only orders are charged, no checkpoint passes the log, the process stays ready and says what
// it skipped.
func TestHostileTopic(t *testing.T) {
	t.Parallel()
	events, within := 5_000, 3*time.Minute
	if os.Getenv("DAYBOOK_LONG") != "" {
		events, within = 1_000_000, 6*time.Hour
	}
	if n, err := strconv.Atoi(os.Getenv("DAYBOOK_HOSTILE_EVENTS")); err == nil {
		events = n
	}
	brokers := startFakeCluster(t).brokers()
	at := testenv.Address(t)
	p := testenv.Start(t, testenv.Options{Args: append([]string{"--listen", at, "--kafka", brokers}, testenv.AnyPorts()...)})
	shop := market.New(at)
	if err := shop.Stocked(t.Context(), "PLENTY", 100_000_000); err != nil {
		t.Fatal(err)
	}
	h := startHostile(t, p.DataDir, brokers)
	trade := market.StartTrade(t.Context(), shop, "sold")
	for until := time.Now().Add(within); h.genuine.Load() < int64(events); {
		if time.Now().After(until) {
			t.Fatalf("%d orders and %d of %d events within %s", trade.Placed.Load(), h.genuine.Load(), events, within)
		}
		time.Sleep(50 * time.Millisecond)
	}
	trade.End(t)
	shop.Ended(t, market.EndWithin)
	h.end()
	p.Ready()
	r := market.Examine(t, "--data-dir", p.DataDir, "--kafka", brokers)
	if !r.AtRest || r.Checked["charges"] == 0 || r.Checked["orders at rest"] != shop.Orders() || r.Checked["events"] < events || r.Checked["kafka unreadable"] == 0 {
		t.Errorf("the doctor has not seen all: at rest %t %v, %v", r.AtRest, r.Moving, r.Checked)
	}
	refused := map[string]float64{}
	for _, m := range p.Metrics()["daybook_feed_refused_total"].GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() { // sorted by name
			labels = append(labels, l.GetValue())
		}
		refused[strings.Join(labels, " ")] = m.GetCounter().GetValue()
	}
	for _, consumer := range []string{"projections", "sagas", "reactors"} {
		for _, reason := range []string{"unsigned", "unknown_key", "forged", "malformed", "beyond"} {
			if refused[consumer+" "+reason] == 0 {
				t.Errorf("%s: nothing was refused as %s; %v", consumer, reason, refused)
			}
		}
	}
	t.Logf("%d orders, %d genuine messages, %d hostile ones, %d unreadable batches; %v", shop.Orders(), h.genuine.Load(), h.written.Load(), h.unreadable.Load(), refused)
}

// hostile reads the topic as everybody may, and writes to it what it makes of what it reads.
type hostile struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // of its goroutines
	end     func()
	brokers string
	client  *kafka.Client
	keys    *topic.Keys // to tell what is genuine, and for what a relay on another store would write
	broken  [][]byte

	genuine, written, unreadable atomic.Int64
}

func startHostile(t *testing.T, dir, brokers string) *hostile {
	t.Helper()
	cfg := app.DefaultConfig()
	cfg.DataDir = dir
	read, err := secrets.RelayKeys(cfg.SecretsDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{t: t, brokers: brokers, broken: slices.Collect(maps.Values(kafkareadtest.Broken(t)))}
	if h.keys, err = topic.NewKeys(read, nil); err != nil {
		t.Fatal(err)
	}
	transport := &kafka.Transport{}
	h.client = &kafka.Client{Addr: kafka.TCP(strings.Split(brokers, ",")...), Transport: transport}
	var stop context.CancelFunc
	h.ctx, stop = context.WithCancel(t.Context())
	var all sync.WaitGroup
	for part := range topic.DefaultPartitions {
		all.Go(func() {
			if err := h.haunt(part); err != nil && h.ctx.Err() == nil {
				t.Errorf("partition %d: %v", part, err)
			}
		})
	}
	h.end = sync.OnceFunc(func() {
		stop()
		all.Wait()
		transport.CloseIdleConnections()
	})
	t.Cleanup(h.end)
	return h
}

// haunt answers each genuine message of a partition with hostile ones: at first with all there are, then with some.
func (h *hostile) haunt(part int) error {
	var (
		offset int64
		high   uint64
		heard  []kafka.Message // to be repeated in another order
	)
	for first := true; h.ctx.Err() == nil; {
		page, err := kafkaread.Fetch(h.ctx, h.client, kafkaread.Request{
			Topic: topic.DefaultName, Partition: part, Offset: offset, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond,
		})
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		offset = page.Next
		var out []kafka.Message
		for _, m := range page.Messages {
			d, err := h.keys.Open(m)
			if err != nil || d.Record.Position <= high || d.Record.Position >= beyondTheLog {
				continue // of its own
			}
			high = d.Record.Position
			h.genuine.Add(1)
			for _, a := range topictest.Attacks(h.t, m, topic.DefaultPartitions) {
				if first || size(a.Message) < large && rand.IntN(60) == 0 {
					out = append(out, a.Message)
				}
			}
			if heard = append(heard, m); len(heard) == 20 {
				slices.Reverse(heard)
				out = append(out, heard...)
				heard = nil
			}
			if first || rand.IntN(100) == 0 {
				prev := d.Record.Position
				d.Record.Position = beyondTheLog
				out = append(out, topictest.Message(h.t, h.keys, topic.DefaultName, part, d.Record, prev, d.Incarnation))
				if kafkareadtest.Produce(h.t, h.brokers, topic.DefaultName, part, h.broken[rand.IntN(len(h.broken))]) {
					h.unreadable.Add(1)
				}
			}
			first = false
		}
		if err := h.write(out); err != nil {
			return err
		}
	}
	return nil
}

const (
	beyondTheLog = 9_000_000_000_000_000_000
	large        = 64 << 10
)

func size(m kafka.Message) (n int) {
	n = len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// write puts the messages on their partitions, many at once as a relay would.
func (h *hostile) write(messages []kafka.Message) error {
	const most = 512 << 10 // bytes in a batch, or one message
	for len(messages) > 0 {
		n, length := 0, 0
		var records []kafka.Record
		for ; n < len(messages) && messages[n].Partition == messages[0].Partition && (n == 0 || length+size(messages[n]) <= most); n++ {
			m := messages[n]
			length += size(m)
			records = append(records, kafka.Record{Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value), Headers: m.Headers})
		}
		res, err := h.client.Produce(h.ctx, &kafka.ProduceRequest{
			Topic: topic.DefaultName, Partition: messages[0].Partition, RequiredAcks: kafka.RequireOne, Records: kafka.NewRecordReader(records...),
		})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		h.written.Add(int64(n))
		messages = messages[n:]
	}
	return nil
}
