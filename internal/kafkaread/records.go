package kafkaread

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// ErrRecord says that a record's lengths do not add up.
var ErrRecord = errors.New("a record's lengths do not add up")

// Record is a record of a batch.
type Record struct {
	Delta      int64 // its offset, from the batch's first
	Key, Value []byte
	Headers    []kafka.Header
}

// Walk gives the n records of an uncompressed batch of Kafka's message format version 2, until give returns an error. What comes before an
// error is part of a batch that does not add up.
func Walk(records []byte, n int, give func(i int, r Record) error) error {
	for i := range n {
		c := cursor{rest: records}
		body := c.bytes(false)
		if c.bad {
			return fmt.Errorf("record %d of %d: %w", i, n, ErrRecord)
		}
		r, err := read(bytes.Clone(body)) // one record does not keep the others in memory
		if err == nil {
			err = give(i, r)
		}
		if err != nil {
			return fmt.Errorf("record %d of %d: %w", i, n, err)
		}
		records = c.rest
	}
	if len(records) > 0 {
		return fmt.Errorf("%d bytes after %d records: %w", len(records), n, ErrRecord)
	}
	return nil
}

func read(body []byte) (r Record, err error) {
	c := cursor{rest: body}
	c.skip(1)      // attributes
	_ = c.varint() // delta of the timestamp
	r.Delta = c.varint()
	r.Key, r.Value = c.bytes(true), c.bytes(true)
	const smallest = 2 // two lengths
	headers := c.varint()
	if headers < 0 || headers > int64(len(c.rest)/smallest) {
		return Record{}, ErrRecord
	}
	for range headers {
		h := kafka.Header{Key: string(c.bytes(false)), Value: c.bytes(true)}
		if c.bad {
			return Record{}, ErrRecord
		}
		r.Headers = append(r.Headers, h)
	}
	if c.bad || len(c.rest) > 0 {
		return Record{}, ErrRecord
	}
	return r, nil
}

// cursor reads bytes from the front. It is bad once there were fewer than was said.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) varint() int64 {
	n, width := binary.Varint(c.rest)
	if width <= 0 {
		c.bad, c.rest = true, nil
		return 0
	}
	c.rest = c.rest[width:]
	return n
}

func (c *cursor) skip(n int64) (skipped []byte) {
	if c.bad || n < 0 || n > int64(len(c.rest)) {
		c.bad, c.rest = true, nil
		return nil
	}
	skipped, c.rest = c.rest[:n:n], c.rest[n:]
	return skipped
}

// bytes gives what its length precedes; -1 is null.
func (c *cursor) bytes(nullable bool) []byte {
	n := c.varint()
	if n == -1 && nullable {
		return nil
	}
	return c.skip(n)
}
