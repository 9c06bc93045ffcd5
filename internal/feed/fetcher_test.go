package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
)

// prompt is less than a waiting fetch takes: what comes later waited for another partition.
const prompt = fetchWait - time.Second

// brokers is a cluster, and a fetcher of all partitions of its topic.
type brokers struct {
	t       *testing.T
	cluster *kfake.Cluster
	fetcher *fetcher
	fetches atomic.Int64
	dialled atomic.Int64
	mute    atomic.Int64 // connections numbered up to it are silent
	refuse  atomic.Bool  // new connections
}

func startBrokers(t *testing.T, nodes int) *brokers {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(nodes), kfake.SeedTopics(topic.DefaultPartitions, topic.DefaultName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b := &brokers{t: t, cluster: cluster}
	cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		b.fetches.Add(1)
		return nil, nil, false //nolint:nilnil // not handled here, in kfake's words
	})
	transport := &kafka.Transport{MetadataTTL: metadataTTL, Dial: b.dial}
	t.Cleanup(transport.CloseIdleConnections)
	f := &Feed{
		cfg: Config{Topic: topic.DefaultName}, health: (*health.Board)(nil).Reporter("test"), transport: transport,
		client: &kafka.Client{Addr: kafka.TCP(cluster.ListenAddrs()...), Transport: transport},
	}
	var assigned []kafka.PartitionAssignment
	for p := range topic.DefaultPartitions {
		assigned = append(assigned, kafka.PartitionAssignment{ID: p, Offset: kafka.FirstOffset})
	}
	b.fetcher = newFetcher(f, assigned)
	return b
}

func (b *brokers) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	var running sync.WaitGroup
	running.Go(func() { b.fetcher.run(ctx) })
	b.t.Cleanup(func() { cancel(); running.Wait() })
}

func (b *brokers) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if b.refuse.Load() {
		return nil, errors.New("refused")
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &numbered{Conn: c, b: b, n: b.dialled.Add(1)}, err
}

type numbered struct {
	net.Conn

	b *brokers
	n int64
}

func (c *numbered) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for c.n <= c.b.mute.Load() && err == nil { // as on a connection whose other end has gone without a word
		n, err = c.Conn.Read(p)
	}
	return n, err
}

// write gives a partition a batch of one message.
func (b *brokers) write(part int, value string) {
	b.t.Helper()
	topictest.Produce(b.t, b.cluster.ListenAddrs()[0], part, kafka.Message{Key: []byte("k"), Value: []byte(value)})
}

// next waits for what comes of a partition.
func (b *brokers) next(part int, within time.Duration) []kafka.Message {
	b.t.Helper()
	in := b.fetcher.byPart[part]
	late := time.After(within)
	for {
		if all := messages(in.take()); len(all) > 0 {
			return all
		}
		select {
		case <-in.came:
		case <-late:
			b.t.Fatalf("nothing of partition %d has come within %s", part, within)
		}
	}
}

func messages(t taken) (all []kafka.Message) {
	for _, p := range t.pieces {
		all = append(all, p.Read().Messages...)
	}
	return all
}

// rests waits until every partition was answered and the fetches wait.
func (b *brokers) rests() {
	b.t.Helper()
	for p := range topic.DefaultPartitions {
		b.write(p, "first")
		b.next(p, prompt)
	}
	tick := time.NewTicker(4 * fetchSoon)
	defer tick.Stop()
	for seen := int64(-1); seen != b.fetches.Load(); <-tick.C {
		seen = b.fetches.Load()
	}
}

// A partition with a backlog that takes many answers does not keep another one from its messages: the broker fills an answer in the
// order of the request, and leaves those out that come behind.
func TestABacklogStarvesNoPartition(t *testing.T) {
	t.Parallel()
	b := startBrokers(t, 1)
	const (
		busy = 6
		each = 3 // batches of a partition with a backlog, one to an answer
		last = topic.DefaultPartitions - 1
	)
	big := string(bytes.Repeat([]byte("v"), roomBytes-200))
	for p := range busy {
		for range each {
			b.write(p, big)
		}
	}
	b.write(last, "waits")
	got := make([]int, topic.DefaultPartitions)
	b.run()
	late := time.After(time.Minute)
	for got[last] == 0 {
		for p, in := range b.fetcher.byPart {
			got[p] += len(messages(in.take()))
		}
		select {
		case <-b.fetcher.byPart[last].came:
		case <-time.After(time.Millisecond):
		case <-late:
			t.Fatalf("nothing of it has come, but %v", got)
		}
	}
	for p, n := range got[:busy] {
		if n == each {
			t.Errorf("partition %d was read to its end before another one was begun: %v", p, got)
		}
	}
}

// A partition whose worker takes nothing is fetched until its room is full, and others go on. Once it is taken, more comes.
func TestAPartitionWithoutRoomStallsNoOther(t *testing.T) {
	t.Parallel()
	b := startBrokers(t, 1)
	const full, other, backlog = 3, 4, 6
	big := string(bytes.Repeat([]byte("v"), roomBytes-200))
	for range backlog {
		b.write(full, big)
	}
	b.run()
	in := b.fetcher.byPart[full]
	late := time.After(time.Minute)
	for _, _, _, room := in.state(); room; _, _, _, room = in.state() {
		select {
		case <-in.came:
		case <-late:
			t.Fatal("it always has room")
		}
	}
	for i := range 20 {
		value := fmt.Sprint("message ", i)
		b.write(other, value)
		if m := b.next(other, prompt); string(m[0].Value) != value {
			t.Fatalf("got %q", m[0].Value)
		}
	}
	t.Logf("%d fetches beside a partition without room", b.fetches.Load())
	in.mu.Lock()
	bytes := in.bytes
	in.mu.Unlock()
	if bytes > 2*roomBytes {
		t.Errorf("%d bytes wait for the worker", bytes)
	}
	for n := 0; n < backlog; {
		n += len(b.next(full, prompt))
	}
}

// A partition whose leader refuses it is named, and tried again after a while. Others are answered as ever.
func TestAnErringPartitionStallsNoOther(t *testing.T) {
	t.Parallel()
	b := startBrokers(t, 1)
	b.run()
	b.rests()
	const erring, other = 2, 5
	fault := b.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic.DefaultName, Partitions: []int32{erring}, Err: kerr.KafkaStorageError, Count: -1,
	})
	b.write(erring, "held back") // ends the fetch that waits
	for i := range 20 {
		value := fmt.Sprint("message ", i)
		b.write(other, value)
		if m := b.next(other, prompt); string(m[0].Value) != value {
			t.Fatalf("got %q", m[0].Value)
		}
	}
	if err := b.fetcher.feed.health.Err(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s/%d", topic.DefaultName, erring)) {
		t.Errorf("health is %v", err)
	}
	before, began := b.fetches.Load(), time.Now()
	<-time.After(time.Second) // how often it is asked in that time
	if n, took := b.fetches.Load()-before, time.Since(began); float64(n) > 40*took.Seconds() {
		t.Errorf("%d fetches in %s beside an erring partition", n, took)
	}
	fault.Remove()
	if m := b.next(erring, prompt); string(m[0].Value) != "held back" {
		t.Errorf("got %q", m[0].Value)
	}
	if err := b.fetcher.feed.health.Err(); err != nil {
		t.Errorf("it is mended, and health is %v", err)
	}
}

// Partitions are fetched from the brokers that lead them, by one request each, and from others once these lead them.
func TestLeadersOnSeveralBrokers(t *testing.T) {
	t.Parallel()
	const nodes = 3
	b := startBrokers(t, nodes)
	for p := range int32(topic.DefaultPartitions) {
		if err := b.cluster.MoveTopicPartition(topic.DefaultName, p, p%nodes); err != nil {
			t.Fatal(err)
		}
	}
	b.run()
	b.rests()
	before := b.fetches.Load()
	for p := range topic.DefaultPartitions {
		b.write(p, "second")
		b.next(p, prompt)
	}
	if n := b.fetches.Load() - before; n > 2*topic.DefaultPartitions {
		t.Errorf("%d fetches for %d messages", n, topic.DefaultPartitions)
	}
	for p := range int32(topic.DefaultPartitions) {
		if err := b.cluster.MoveTopicPartition(topic.DefaultName, p, (p+1)%nodes); err != nil {
			t.Fatal(err)
		}
	}
	for p := range topic.DefaultPartitions {
		b.write(p, "third")
		if m := b.next(p, 2*fetchWait); string(m[0].Value) != "third" {
			t.Errorf("partition %d: %q", p, m[0].Value)
		}
	}
}

// Partitions that come to a leader that is being asked for others are asked for beside them.
func TestAPartitionThatComesToAWaitingLeaderIsAskedForBeside(t *testing.T) {
	t.Parallel()
	b := startBrokers(t, 2)
	const moves = 1
	for p := range int32(topic.DefaultPartitions) {
		if err := b.cluster.MoveTopicPartition(topic.DefaultName, p, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.cluster.MoveTopicPartition(topic.DefaultName, moves, 1); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.rests()
	b.write(0, "ends the fetch of the first broker, and the next one waits")
	b.next(0, prompt)
	if err := b.cluster.MoveTopicPartition(topic.DefaultName, moves, 0); err != nil {
		t.Fatal(err)
	}
	b.fetcher.doubt(moves, time.Now()) // it finds out at once that its leader has moved
	b.write(moves, "moved")
	if m := b.next(moves, prompt); string(m[0].Value) != "moved" {
		t.Errorf("got %q", m[0].Value)
	}
}

// A request that a broker does not answer although it has something is given up once that is known, and another connection is used.
func TestASilentConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	b := startBrokers(t, 1)
	b.run()
	b.rests()
	b.mute.Store(b.dialled.Load())
	b.write(7, "unheard")
	b.fetcher.doubt(7, time.Now())
	if m := b.next(7, prompt); string(m[0].Value) != "unheard" {
		t.Errorf("got %q", m[0].Value)
	}
}

// The client remembers for up to its TTL that no broker answered. A generation that begins after the outage does not report that one.
func TestAGenerationDoesNotBelieveAnEarlierOutage(t *testing.T) {
	t.Parallel()
	b := startBrokers(t, 1)
	x := b.fetcher
	b.refuse.Store(true)
	if _, err := x.feed.client.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{topic.DefaultName}}); err == nil {
		t.Fatal("no broker can be reached, and the client has metadata")
	}
	b.refuse.Store(false)
	fl := &flight{leader: noLeader, inboxes: x.all}
	if x.lookUp(x.stale)(t.Context(), fl); fl.err != nil {
		t.Fatal(fl.err)
	}
}

// An idle fetcher asks each leader once per wait, on one connection.
func TestAnIdleFetcherRests(t *testing.T) {
	t.Parallel()
	b := startBrokers(t, 1)
	b.run()
	b.rests()
	dialled, before, began := b.dialled.Load(), b.fetches.Load(), time.Now()
	<-time.After(2*fetchWait + fetchWait/2) // how often it asks in that time
	if n, took := b.fetches.Load()-before, time.Since(began); n < 1 || n > int64(took/fetchWait)+1 {
		t.Errorf("%d fetches in %s, each of which waits for %s", n, took, fetchWait)
	}
	if n := b.dialled.Load() - dialled; n > 1 { // one may be kafka-go's, for metadata
		t.Errorf("%d connections were opened while nothing came", n)
	}
}
