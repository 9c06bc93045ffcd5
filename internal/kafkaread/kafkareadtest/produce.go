package kafkareadtest

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Produce writes a batch as it is. False says that the broker did not take it.
func Produce(tb testing.TB, brokers, topic string, partition int, batch []byte) bool {
	tb.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RequestRetries(0), kgo.MaxVersions(kversion.V2_8_0())) // which names topics
	if err != nil {
		tb.Error(err)
		return false
	}
	defer c.Close()
	req := kmsg.NewPtrProduceRequest()
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	t.Topic, p.Partition, p.Records = topic, int32(partition), batch //nolint:gosec // a partition
	t.Partitions = append(t.Partitions, p)
	req.Acks, req.TimeoutMillis, req.Topics = -1, 5000, append(req.Topics, t)
	res, err := req.RequestWith(tb.Context(), c)
	if err != nil { // it ended the connection
		return false
	}
	return kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode) == nil
}
