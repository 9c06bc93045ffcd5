package kafkaserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/testenv/ports"
)

func start(t *testing.T, cfg kafkaserver.Config) *kafkaserver.Server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := kafkaserver.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// client has a transport of its own, which would otherwise outlive the broker.
func client(t *testing.T, s *kafkaserver.Server) *kafka.Client {
	t.Helper()
	transport := &kafka.Transport{MetadataTTL: 5 * time.Second} // which is what it waits for metadata, too
	t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(s.Addr()), Transport: transport, Timeout: 10 * time.Second}
}

func createTopic(t *testing.T, c *kafka.Client, topic string, partitions int, entries ...kafka.ConfigEntry) {
	t.Helper()
	res, err := c.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: -1, ConfigEntries: entries}}})
	if err = errors.Join(err, errOf(res, topic)); err != nil {
		t.Fatal(err)
	}
}

func errOf(res *kafka.CreateTopicsResponse, topic string) error {
	if res == nil {
		return nil
	}
	return res.Errors[topic]
}

func produce(ctx context.Context, c *kafka.Client, topic string, partition int, values ...string) (int64, error) {
	records := make([]kafka.Record, len(values))
	for i, v := range values {
		records[i] = kafka.Record{Value: kafka.NewBytes([]byte(v))}
	}
	res, err := c.Produce(ctx, &kafka.ProduceRequest{Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(records...)})
	if err != nil {
		return 0, err
	}
	return res.BaseOffset, res.Error
}

func fetch(t *testing.T, c *kafka.Client, topic string, partition int, from int64, n int) []string {
	t.Helper()
	var out []string
	for len(out) < n {
		res, err := c.Fetch(t.Context(), &kafka.FetchRequest{Topic: topic, Partition: partition, Offset: from, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
		if err = errors.Join(err, res.Error); err != nil {
			t.Fatal(err)
		}
		for {
			r, err := res.Records.ReadRecord()
			if err != nil {
				break
			}
			b, _ := kafka.ReadAll(r.Value)
			out, from = append(out, string(b)), r.Offset+1
		}
	}
	return out
}

func TestWhatIsProducedIsFetched(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{Registerer: prometheus.NewRegistry()})
	c := client(t, s)
	createTopic(t, c, "events", 3)
	if _, err := produce(t.Context(), c, "events", 2, "a", "b", strings.Repeat("c", 200_000)); err != nil {
		t.Fatal(err)
	}
	got := fetch(t, c, "events", 2, 0, 3)
	if len(got) != 3 || got[0] != "a" || got[1] != "b" || len(got[2]) != 200_000 {
		t.Errorf("fetched %d records", len(got))
	}
}

func TestClientsAreGivenTheAddressListenedOn(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{})
	meta, err := client(t, s).Metadata(t.Context(), &kafka.MetadataRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(meta.Brokers) != 1 || net.JoinHostPort(meta.Brokers[0].Host, strconv.Itoa(meta.Brokers[0].Port)) != s.Addr() {
		t.Errorf("brokers %v, listening on %s", meta.Brokers, s.Addr())
	}
	if meta.ClusterID != s.ClusterID() || len(meta.ClusterID) != 22 {
		t.Errorf("cluster id %q, server says %q", meta.ClusterID, s.ClusterID())
	}
}

func TestTopicsAreNotMadeByAsking(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{})
	c := client(t, s)
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	ask := kmsg.NewPtrMetadataRequest()
	ask.AllowAutoTopicCreation = true
	ask.Topics = []kmsg.MetadataRequestTopic{{Topic: new("unasked")}}
	if _, err := conn.Write(frame(ask, 7)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 4)); err != nil {
		t.Fatalf("asking was not answered: %v", err)
	}
	if _, err := produce(t.Context(), c, "unasked", 0, "x"); err == nil {
		t.Error("a topic came into being")
	}
}

func TestEachStartBeginsEmptyUnderAnotherID(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	foreign := filepath.Join(dir, "not-ours")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first := start(t, kafkaserver.Config{Dir: dir, Listen: ports.Address(t)})
	createTopic(t, client(t, first), "events", 1)
	if _, err := produce(t.Context(), client(t, first), "events", 0, "a"); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.Done():
	default:
		t.Error("closed, but not done")
	}
	second := start(t, kafkaserver.Config{Dir: dir, Listen: first.Addr()}) // the address is free again at once
	if second.ClusterID() == first.ClusterID() {
		t.Error("same cluster id")
	}
	if _, err := produce(t.Context(), client(t, second), "events", 0, "b"); err == nil {
		t.Error("the topic of the first run is still there")
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("deleted what is not the broker's: %v", err)
	}
}

func TestASecondBrokerOnTheSameDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, kafkaserver.Config{Dir: dir})
	_, err := kafkaserver.Start(t.Context(), kafkaserver.Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v does not say who has %s", err, dir)
	}
	_ = first.Close()
	start(t, kafkaserver.Config{Dir: dir})
}

func TestATakenAddressIsAnError(t *testing.T) {
	t.Parallel()
	first := start(t, kafkaserver.Config{})
	dir := t.TempDir()
	_, err := kafkaserver.Start(t.Context(), kafkaserver.Config{Dir: dir, Listen: first.Addr()})
	if err == nil || !strings.Contains(err.Error(), first.Addr()) {
		t.Errorf("error %v does not name %s", err, first.Addr())
	}
	start(t, kafkaserver.Config{Dir: dir}) // nothing is held after a failed start
}

func TestRetentionDeletes(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{RetentionEvery: 10 * time.Millisecond})
	c := client(t, s)
	createTopic(t, c, "brief", 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "50"})
	createTopic(t, c, "small", 1, kafka.ConfigEntry{ConfigName: "retention.bytes", ConfigValue: "1000"})
	createTopic(t, c, "kept", 1)
	for _, topic := range []string{"brief", "small", "kept"} {
		for range 20 {
			if _, err := produce(t.Context(), c, topic, 0, strings.Repeat("x", 500)); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := func(topic string) int64 {
		res, err := c.ListOffsets(t.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(0)}}})
		if err != nil {
			t.Fatal(err)
		}
		return res.Topics[topic][0].FirstOffset
	}
	for first("brief") < 20 || first("small") < 15 { // fails by the test's own time limit
		if t.Context().Err() != nil {
			t.Fatal("nothing was deleted")
		}
	}
	if got := first("kept"); got != 0 {
		t.Errorf("kept topic begins at %d", got)
	}
}

// A group forms, and heals after a member died silently, fast enough for a small machine.
func TestGroupsFormAndTakeOverFast(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{})
	createTopic(t, client(t, s), "events", 4)
	member := func(ctx context.Context) (*kafka.ConsumerGroup, <-chan int) {
		dialer := &kafka.Dialer{DialFunc: (&net.Dialer{}).DialContext, Timeout: 3 * time.Second}
		g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: "g", Brokers: []string{s.Addr()}, Topics: []string{"events"}, Dialer: dialer,
			HeartbeatInterval: 100 * time.Millisecond, SessionTimeout: 500 * time.Millisecond, RebalanceTimeout: time.Second, JoinGroupBackoff: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		assigned := make(chan int, 16)
		go func() {
			for {
				gen, err := g.Next(ctx)
				if err != nil {
					return
				}
				assigned <- len(gen.Assignments["events"])
				gen.Start(func(ctx context.Context) { <-ctx.Done() })
			}
		}()
		return g, assigned
	}
	waitFor := func(what string, assigned <-chan int, want int) {
		began := time.Now()
		timeout := time.After(time.Minute)
		for {
			select {
			case got := <-assigned:
				if got == want {
					t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
					return
				}
			case <-timeout:
				t.Fatalf("%s: not within a minute", what)
			}
		}
	}
	a, assignedA := member(t.Context())
	defer a.Close()
	waitFor("first join", assignedA, 4)
	b, assignedB := member(t.Context())
	waitFor("second member", assignedB, 2)
	waitFor("first member after rebalance", assignedA, 2)
	_ = b.Close()
	waitFor("takeover", assignedA, 4)
}
