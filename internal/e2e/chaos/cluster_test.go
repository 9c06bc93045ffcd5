package chaos_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/apachekafka"
	"github.com/daybook-dev/daybook/internal/topic"
)

// cluster is some brokers, whose partitions change their leaders, lose records and go altogether.
type cluster interface {
	brokers() string // comma-separated
	changeLeaders()
	lose(partition int32) // all its records
	loseTopic()
	replace() // by an empty one, or as good as that
}

// fakeCluster is three brokers in this process.
type fakeCluster struct {
	t     testing.TB
	ports []int

	mu sync.Mutex
	at *kfake.Cluster
}

func startFakeCluster(t testing.TB) cluster {
	t.Helper()
	c := &fakeCluster{t: t}
	for range 3 {
		_, port, err := net.SplitHostPort(testenv.Address(t))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		c.ports = append(c.ports, n)
	}
	c.start()
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.at.Close()
	})
	return c
}

func (c *fakeCluster) start() {
	c.t.Helper()
	at, err := kfake.NewCluster(kfake.NumBrokers(len(c.ports)), kfake.Ports(c.ports...), kfake.ClusterID(strconv.FormatUint(rand.Uint64(), 10)))
	if err != nil {
		c.t.Fatal(err)
	}
	c.at = at
}

func (c *fakeCluster) brokers() string {
	var all []string
	for _, p := range c.ports {
		all = append(all, net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
	}
	return strings.Join(all, ",")
}

func (c *fakeCluster) changeLeaders() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at.ShufflePartitionLeaders()
}

func (c *fakeCluster) lose(partition int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.at.DeleteRecords(topic.DefaultName, partition, -1) // there may be no topic just now
}

func (c *fakeCluster) loseTopic() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.at.DeleteTopic(topic.DefaultName)
}

func (c *fakeCluster) replace() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at.Close()
	c.start()
}

// realCluster is two brokers of Apache Kafka.
type realCluster struct {
	t      testing.TB
	at     *apachekafka.Cluster
	client *kgo.Client
}

func startRealCluster(t testing.TB) cluster {
	t.Helper()
	c := &realCluster{t: t, at: apachekafka.StartCluster(t, 2)}
	var err error
	if c.client, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(c.at.Addrs(), ",")...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	return c
}

func (c *realCluster) brokers() string { return c.at.Addrs() }

// ask sends a request. What it comes to is not looked at: there may be no topic just now.
func (c *realCluster) ask(req kmsg.Request) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	_, err := c.client.Request(ctx, req)
	if _, answered := errors.AsType[*kerr.Error](err); err != nil && !answered {
		c.t.Errorf("%s: %v", kmsg.Key(req.Key()).Name(), err)
	}
}

// changeLeaders prefers some broker in each partition, and lets it be elected.
func (c *realCluster) changeLeaders() {
	prefer, elect := kmsg.NewPtrAlterPartitionAssignmentsRequest(), kmsg.NewPtrElectLeadersRequest()
	to, of := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewElectLeadersRequestTopic()
	to.Topic, of.Topic = topic.DefaultName, topic.DefaultName
	for p := range int32(topic.DefaultPartitions) {
		one := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		one.Partition, one.Replicas = p, []int32{1, 2}
		if rand.IntN(2) == 0 {
			one.Replicas = []int32{2, 1}
		}
		to.Partitions, of.Partitions = append(to.Partitions, one), append(of.Partitions, p)
	}
	prefer.Topics, prefer.TimeoutMillis = append(prefer.Topics, to), 10_000
	elect.Topics, elect.TimeoutMillis = append(elect.Topics, of), 10_000
	c.ask(prefer)
	c.ask(elect)
}

func (c *realCluster) lose(partition int32) {
	req, of, one := kmsg.NewPtrDeleteRecordsRequest(), kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	one.Partition, one.Offset = partition, -1
	of.Topic, of.Partitions = topic.DefaultName, append(of.Partitions, one)
	req.Topics, req.TimeoutMillis = append(req.Topics, of), 10_000
	c.ask(req)
}

func (c *realCluster) loseTopic() {
	req, of := kmsg.NewPtrDeleteTopicsRequest(), kmsg.NewDeleteTopicsRequestTopic()
	of.Topic = new(topic.DefaultName)
	req.Topics, req.TimeoutMillis = append(req.Topics, of), 10_000
	req.TopicNames = []string{topic.DefaultName}
	c.ask(req)
}

func (c *realCluster) replace() { c.loseTopic() }
