package kafkaread

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/segmentio/kafka-go"
)

// Where a batch of message format 2 has what is read of it. The first two, and the format, are there in every format.
const (
	atLength     = 8 // of what follows it
	atFormat     = 16
	atSum        = 17
	atAttributes = 21
	atLastDelta  = 23
	atCount      = 57
	atRecords    = 61

	compressed = 0x07
	control    = 0x20

	smallestRecord = 7 // length, attributes, two deltas, key, value and headers of a record without any
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Page is what a fetch brings.
type Page struct {
	Start, High int64 // the first offset that the partition holds, and the one after its last
	Next        int64 // to fetch from: beyond everything that was read or passed over
	Messages    []kafka.Message
	Unreadable  []Unreadable
}

// Unreadable is a batch that was passed over.
type Unreadable struct {
	Offset int64 // its first
	Err    error
}

// read takes the batches of an answer to a fetch from an offset. The last may be cut off.
func (p *Page) read(topic string, partition int, from int64, batches []byte) {
	p.Next = from
	for base, b := range whole(batches, p.High) {
		before := len(p.Messages)
		end := endOf(base, b)
		err := p.batch(kafka.Message{Topic: topic, Partition: partition, Offset: base}, p.Next, b)
		if err == nil && end > p.High {
			err = fmt.Errorf("it ends at offset %d, the partition at %d", end, p.High)
		}
		if err != nil {
			p.Messages = p.Messages[:before]
			p.Unreadable = append(p.Unreadable, Unreadable{base, err})
		}
		p.Next = max(p.Next, min(end, p.High))
	}
	if len(batches) > 0 && p.Next == from && from < p.High {
		p.Unreadable = append(p.Unreadable, Unreadable{from, errors.New("no batch begins where one was fetched")})
		p.Next++
	}
}

// whole gives the batches of an answer that are not cut off, with the offset at which each begins.
func whole(batches []byte, high int64) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		for len(batches) > atFormat {
			size := int64(int32(binary.BigEndian.Uint32(batches[atLength:]))) + atLength + 4 //nolint:gosec // as it is meant
			if size <= atFormat || size > int64(len(batches)) {
				return
			}
			base := int64(binary.BigEndian.Uint64(batches)) //nolint:gosec // as it is meant
			if base < 0 || base >= high || !yield(base, batches[:size]) {
				return
			}
			batches = batches[size:]
		}
	}
}

// endOf is the offset after a batch.
func endOf(base int64, b []byte) int64 {
	if b[atFormat] != 2 || len(b) < atRecords {
		return base + 1 // in older formats a compressed batch has the offset of its last message
	}
	return base + 1 + max(lastDelta(b), 0)
}

func lastDelta(b []byte) int64 {
	return int64(int32(binary.BigEndian.Uint32(b[atLastDelta:]))) //nolint:gosec // as it is meant
}

// batch reads one batch, in which m is the first message.
func (p *Page) batch(m kafka.Message, from int64, b []byte) error {
	base := m.Offset
	if format := b[atFormat]; format != 2 {
		return fmt.Errorf("message format %d", format)
	}
	if len(b) < atRecords {
		return fmt.Errorf("a record batch of %d bytes", len(b))
	}
	if sum := crc32.Checksum(b[atAttributes:], castagnoli); sum != binary.BigEndian.Uint32(b[atSum:]) {
		return errors.New("a record batch with another checksum")
	}
	switch attributes := binary.BigEndian.Uint16(b[atAttributes:]); {
	case attributes&control != 0:
		return nil
	case attributes&compressed != 0:
		return errors.New("compressed batches are not read; set the topic's compression.type to uncompressed")
	}
	records := b[atRecords:]
	n := int64(int32(binary.BigEndian.Uint32(b[atCount:]))) //nolint:gosec // as it is meant
	if n < 0 || n > int64(len(records)/smallestRecord) {
		return fmt.Errorf("a record batch of %d records in %d bytes", n, len(records))
	}
	delta, last := int64(-1), lastDelta(b)
	return Walk(records, int(n), func(_ int, r Record) error {
		if r.Delta <= delta || r.Delta > last {
			return fmt.Errorf("its offset is %d after the batch's first, after %d and up to %d", r.Delta, delta, last)
		}
		delta = r.Delta
		if m.Offset = base + r.Delta; m.Offset >= from { // batches come whole
			m.Key, m.Value, m.Headers = r.Key, r.Value, r.Headers
			p.Messages = append(p.Messages, m)
		}
		return nil
	})
}
