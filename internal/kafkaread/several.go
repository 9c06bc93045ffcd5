package kafkaread

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Several asks one broker for what the partitions that it leads hold.
type Several struct {
	Topic     string
	Leader    int     // the broker's id
	From      []Place // in the order in which the broker fills its answer
	MaxBytes  int     // of the answer; a single batch may be larger
	EachBytes int     // of a partition
	MaxWait   time.Duration
}

// Place is where a partition is read from.
type Place struct {
	Partition int
	Offset    int64
}

// Piece is what an answer has of a partition, as bytes: reading them costs more than they are long, and is left to the reader of the
// partition.
type Piece struct {
	Place

	Start, High int64 // the first offset that the partition holds, and the one after its last
	Next        int64 // to fetch from
	Err         error // of the partition alone; kafka.OffsetOutOfRange: it does not have the offset

	topic   string
	batches []byte
}

// Size is how many bytes there are to read.
func (p Piece) Size() int { return len(p.batches) }

// Raw is the bytes. They must not be changed.
func (p Piece) Raw() []byte { return p.batches }

// Batches gives the batches of a piece, which read one by one come to what the piece does. Where they do not follow on it is the piece itself.
func (p Piece) Batches() []Piece {
	var all []Piece
	one := p
	for base, b := range whole(p.batches, p.High) {
		one.batches, one.Next = b, min(endOf(base, b), p.High)
		if one.Next <= one.Offset {
			return []Piece{p}
		}
		all = append(all, one)
		one.Offset = one.Next
	}
	if all == nil {
		all = append(all, p)
	}
	return all
}

// Read reads the piece.
func (p Piece) Read() Page {
	page := Page{Start: p.Start, High: p.High}
	page.read(p.topic, p.Partition, p.Offset, p.batches)
	return page
}

// FetchSeveral gives a piece per partition that the broker says something of. Absence says nothing: the answer may have been full before.
func FetchSeveral(ctx context.Context, client *kafka.Client, r Several) ([]Piece, error) {
	a := &kmsg.FetchResponse{}
	if err := roundTrip(ctx, client, &exchange{ask: several(r), find: of(r.Leader), answer: a}); err != nil {
		return nil, err
	}
	if a.ErrorCode != 0 {
		return nil, kafka.Error(a.ErrorCode)
	}
	asked := make(map[int]int, len(r.From))
	for i, place := range r.From {
		asked[place.Partition] = i
	}
	var pieces []Piece
	for _, t := range a.Topics {
		for i := range t.Partitions {
			part := &t.Partitions[i]
			if at, ok := asked[int(part.Partition)]; ok && t.Topic == r.Topic {
				delete(asked, int(part.Partition))
				pieces = append(pieces, piece(r.Topic, r.From[at], part, at == 0))
			}
		}
	}
	return pieces, nil
}

// piece takes a partition's part out of an answer. A broker gives the first partition that has something at least one batch whole; what is
// cut off of another one's is asked for again.
func piece(topic string, from Place, part *kmsg.FetchResponseTopicPartition, first bool) Piece {
	p := Piece{Place: from, topic: topic, Start: part.LogStartOffset, High: part.HighWatermark, Next: from.Offset}
	switch {
	case part.ErrorCode != 0:
		p.Err = kafka.Error(part.ErrorCode)
		return p
	case p.Offset > p.High || p.Offset < p.Start:
		p.Err = kafka.OffsetOutOfRange
		return p
	}
	for base, b := range whole(part.RecordBatches, p.High) {
		p.Next = max(p.Next, min(endOf(base, b), p.High))
	}
	if p.Next == p.Offset {
		if !first || len(part.RecordBatches) == 0 || p.Offset == p.High {
			return p
		}
		p.Next++ // as Read passes over what it cannot read
	}
	p.batches = bytes.Clone(part.RecordBatches) // one partition does not keep the others in memory
	return p
}

func several(r Several) *fetch.Request {
	t := fetch.RequestTopic{Topic: r.Topic}
	for _, place := range r.From {
		t.Partitions = append(t.Partitions, fetch.RequestPartition{
			Partition: int32(place.Partition), CurrentLeaderEpoch: -1, FetchOffset: place.Offset, LogStartOffset: -1, //nolint:gosec // a partition
			PartitionMaxBytes: int32(min(r.EachBytes, largest)), //nolint:gosec // bounded
		})
	}
	return &fetch.Request{
		ReplicaID: -1, MaxWaitTime: int32(r.MaxWait.Milliseconds()), MinBytes: 1, MaxBytes: int32(min(r.MaxBytes, largest)), //nolint:gosec // bounded
		SessionID: -1, SessionEpoch: -1, Topics: []fetch.RequestTopic{t},
	}
}

// Offset is one end of a partition, or why it is not known.
type Offset struct {
	At  int64
	Err error
}

// Offsets asks the leader of some partitions where they begin (which is kafka.FirstOffset) or end (kafka.LastOffset).
func Offsets(ctx context.Context, client *kafka.Client, topic string, leader int, which int64, partitions []int) (map[int]Offset, error) {
	t := listoffsets.RequestTopic{Topic: topic}
	for _, p := range partitions {
		t.Partitions = append(t.Partitions, listoffsets.RequestPartition{Partition: int32(p), CurrentLeaderEpoch: -1, Timestamp: which}) //nolint:gosec // a partition
	}
	a := &kmsg.ListOffsetsResponse{}
	req := &listoffsets.Request{ReplicaID: -1, Topics: []listoffsets.RequestTopic{t}}
	if err := roundTrip(ctx, client, &exchange{ask: req, find: of(leader), answer: a}); err != nil {
		return nil, fmt.Errorf("asking for offsets: %w", err)
	}
	all := map[int]Offset{}
	for _, p := range partitions {
		all[p] = Offset{Err: kafka.UnknownTopicOrPartition}
	}
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			o := Offset{At: p.Offset}
			if p.ErrorCode != 0 {
				o.Err = kafka.Error(p.ErrorCode)
			}
			all[int(p.Partition)] = o
		}
	}
	return all, nil
}
