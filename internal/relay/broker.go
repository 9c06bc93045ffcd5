package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/daybook-dev/daybook/internal/topic"
)

// broker is the relay's side of Kafka. Its connections are replaced after errors: kafka-go would keep to what it last
// knew of the cluster for seconds.
type broker struct {
	brokers    []string
	topic      string
	partitions int
	transport  *kafka.Transport
	client     *kafka.Client

	mu    sync.Mutex
	epoch int // of the connections

	ensuring sync.Mutex
	ensured  int // epoch of the connections that saw the topic missing and made it
}

func newBroker(cfg Config) *broker {
	t := &kafka.Transport{ClientID: "daybook-relay", DialTimeout: 3 * time.Second, MetadataTopics: []string{cfg.Topic}, Dial: cfg.dial}
	if t.Dial == nil {
		t.Dial = (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 5 * time.Second}).DialContext
	}
	return &broker{
		brokers: cfg.Brokers, topic: cfg.Topic, partitions: cfg.Partitions, transport: t, epoch: 1,
		client: &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: t, Timeout: maxProduceTimeout},
	}
}

func (b *broker) close() { b.transport.CloseIdleConnections() }

// produce sends one batch and waits until all in-sync replicas have it. After an error it may stand in the log or not.
// epoch is of the connections used; renew and ensure want it.
func (b *broker) produce(ctx context.Context, partition int, batch []kafka.Message) (epoch int, err error) {
	b.mu.Lock()
	epoch = b.epoch
	b.mu.Unlock()
	res, err := b.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: b.topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: &records{left: batch},
	})
	switch {
	case err != nil:
		return epoch, err
	case res == nil:
		return epoch, errors.New("kafka answered nothing")
	case res.Error != nil:
		return epoch, res.Error
	case len(res.RecordErrors) > 0:
		return epoch, fmt.Errorf("kafka refused %d records: %v", len(res.RecordErrors), res.RecordErrors)
	}
	return epoch, nil
}

// renew makes the next request ask the cluster anew, unless that was done since epoch.
func (b *broker) renew(epoch int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.epoch == epoch {
		b.transport.CloseIdleConnections()
		b.epoch++
	}
}

// ensure makes the topic if it is gone: once, if several partitions find out.
func (b *broker) ensure(ctx context.Context, epoch int) error {
	b.ensuring.Lock()
	defer b.ensuring.Unlock()
	if epoch <= b.ensured {
		return nil
	}
	if err := topic.Ensure(ctx, b.brokers, b.topic, b.partitions); err != nil {
		return err
	}
	b.renew(epoch)
	b.ensured = epoch
	return nil
}

// topicIsGone tells whether Kafka, or what kafka-go knows of it, has no such topic or partition.
func topicIsGone(err error) bool {
	return errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, protocol.ErrNoTopic) || errors.Is(err, protocol.ErrNoPartition)
}

// records reads a batch as kafka-go wants it: once, record by record.
type records struct{ left []kafka.Message }

func (r *records) ReadRecord() (*kafka.Record, error) {
	if len(r.left) == 0 {
		return nil, io.EOF
	}
	m := &r.left[0]
	r.left = r.left[1:]
	return &kafka.Record{Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value), Headers: m.Headers}, nil
}
