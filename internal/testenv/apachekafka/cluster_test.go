package apachekafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Both brokers are there, and a new topic is on each.
func TestClusterOfTwo(t *testing.T) {
	c := StartCluster(t, 2)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.servers[1].Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	create, topic := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 2, -1
	create.Topics, create.TimeoutMillis = append(create.Topics, topic), 10_000
	if res, err := create.RequestWith(t.Context(), client); err != nil || res.Topics[0].ErrorCode != 0 {
		t.Fatal(res, err)
	}
	ask, one := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
	one.Topic = new("t")
	ask.Topics = append(ask.Topics, one)
	res, err := ask.RequestWith(t.Context(), client)
	for deadline := time.Now().Add(time.Minute); err == nil && res.Topics[0].ErrorCode != 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond) // the other broker hears of it a little later
		res, err = ask.RequestWith(t.Context(), client)
	}
	if err != nil || len(res.Brokers) != 2 || len(res.Topics[0].Partitions) != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, p := range res.Topics[0].Partitions {
		if len(p.Replicas) != 2 {
			t.Errorf("partition %d has replicas %v", p.Partition, p.Replicas)
		}
	}
}

// A cluster's id is an argument of Kafka's tools: one that began with a dash failed one start of sixty-four.
func TestClusterIDIsNoFlag(t *testing.T) {
	for range 1_000 {
		if id := clusterID(); len(id) != 22 || id[0] == '-' {
			t.Fatalf("%q", id)
		}
	}
}
