package kafkaread

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Request asks for what a partition holds.
type Request struct {
	Topic     string
	Partition int
	Offset    int64 // or kafka.FirstOffset
	MaxBytes  int   // of a page; a single batch may be larger
	MaxWait   time.Duration
}

// Fetch reads a page. The error of an offset that the partition does not have is kafka.OffsetOutOfRange.
func Fetch(ctx context.Context, client *kafka.Client, r Request) (Page, error) {
	if client.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, client.Timeout)
		defer cancel()
	}
	if r.Offset == kafka.FirstOffset {
		var err error
		if r.Offset, err = first(ctx, client, r); err != nil {
			return Page{}, fmt.Errorf("asking for the first offset: %w", err)
		}
	}
	most := int32(min(r.MaxBytes, largest)) //nolint:gosec // bounded
	res, err := client.Transport.RoundTrip(ctx, client.Addr, &exchange{Request: fetch.Request{
		ReplicaID: -1, MaxWaitTime: int32(r.MaxWait.Milliseconds()), MinBytes: 1, MaxBytes: most, SessionID: -1, SessionEpoch: -1, //nolint:gosec // short
		Topics: []fetch.RequestTopic{{Topic: r.Topic, Partitions: []fetch.RequestPartition{{
			Partition: int32(r.Partition), CurrentLeaderEpoch: -1, FetchOffset: r.Offset, LogStartOffset: -1, PartitionMaxBytes: most, //nolint:gosec // a partition
		}}}},
	}})
	if err != nil {
		return Page{}, err
	}
	a := &res.(*answer).FetchResponse //nolint:forcetypeassert // what RawExchange gives
	if a.ErrorCode != 0 {
		return Page{}, kafka.Error(a.ErrorCode)
	}
	if len(a.Topics) != 1 || len(a.Topics[0].Partitions) != 1 {
		return Page{}, kafka.UnknownTopicOrPartition
	}
	part := &a.Topics[0].Partitions[0]
	if part.ErrorCode != 0 {
		return Page{}, kafka.Error(part.ErrorCode)
	}
	p := Page{Start: part.LogStartOffset, High: part.HighWatermark}
	if r.Offset > p.High || r.Offset < p.Start {
		return Page{}, kafka.OffsetOutOfRange
	}
	p.read(r.Topic, r.Partition, r.Offset, part.RecordBatches)
	return p, nil
}

func first(ctx context.Context, client *kafka.Client, r Request) (int64, error) {
	res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{r.Topic: {kafka.FirstOffsetOf(r.Partition)}}})
	if err != nil {
		return 0, err
	}
	for _, o := range res.Topics[r.Topic] {
		if o.Partition == r.Partition {
			return o.FirstOffset, o.Error
		}
	}
	return 0, kafka.UnknownTopicOrPartition
}

// largest bounds an answer. Kafka itself takes no request, and so no batch, above 100 MiB unless its socket.request.max.bytes says so.
const largest = 128 << 20

// exchange is a fetch of which kafka-go does everything but read the answer: finding the leader, connections, credentials.
type exchange struct {
	fetch.Request

	version int16
}

var (
	_ protocol.RawExchanger  = (*exchange)(nil)
	_ protocol.BrokerMessage = (*exchange)(nil)
)

// Required tells the version that both sides know.
func (e *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	e.version = versions[protocol.Fetch]
	return true
}

func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if err := protocol.WriteRequest(rw, e.version, 1, "daybook", &e.Request); err != nil { // a connection has one request at a time
		return nil, err
	}
	var head [8]byte // size and correlation id
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(head[:])) - 4 //nolint:gosec // as it is meant
	if size < 0 || size > largest {
		return nil, fmt.Errorf("the broker answers a fetch with %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	a := &answer{}
	a.SetVersion(e.version)
	if err := a.UnsafeReadFrom(body); err != nil {
		return nil, fmt.Errorf("the broker's answer to a fetch: %w", err)
	}
	return a, nil
}

type answer struct{ kmsg.FetchResponse }

func (*answer) ApiKey() protocol.ApiKey { return protocol.Fetch }
