package kafkaread

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
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
	req := several(Several{Topic: r.Topic, From: []Place{{r.Partition, r.Offset}}, MaxBytes: r.MaxBytes, EachBytes: r.MaxBytes, MaxWait: r.MaxWait})
	a := &kmsg.FetchResponse{}
	if err := roundTrip(ctx, client, &exchange{ask: req, find: req.Broker, answer: a}); err != nil {
		return Page{}, err
	}
	if a.ErrorCode != 0 {
		return Page{}, kafka.Error(a.ErrorCode)
	}
	if len(a.Topics) != 1 || len(a.Topics[0].Partitions) != 1 {
		return Page{}, kafka.UnknownTopicOrPartition
	}
	p := piece(r.Topic, Place{r.Partition, r.Offset}, &a.Topics[0].Partitions[0], true)
	if p.Err != nil {
		return Page{}, p.Err
	}
	return p.Read(), nil
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
