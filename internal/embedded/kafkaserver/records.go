package kafkaserver

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errRecord says that a record's lengths do not add up. Consumers allocate what these lengths say before they read.
var errRecord = errors.New("a record's lengths do not add up")

// plausibleRecords walks the n records of an uncompressed batch, as Kafka's message format version 2 has them.
func plausibleRecords(records []byte, n int) error {
	for i := range n {
		size, rest, err := varint(records)
		if err != nil || size < 0 || size > int64(len(rest)) {
			return fmt.Errorf("record %d of %d: %w", i, n, errRecord)
		}
		if err := plausibleRecord(rest[:size]); err != nil {
			return fmt.Errorf("record %d of %d: %w", i, n, err)
		}
		records = rest[size:]
	}
	if len(records) > 0 {
		return fmt.Errorf("%d bytes after %d records: %w", len(records), n, errRecord)
	}
	return nil
}

func plausibleRecord(r []byte) (err error) {
	if len(r) == 0 {
		return errRecord
	}
	r = r[1:]     // attributes
	for range 2 { // deltas of timestamp and offset
		if _, r, err = varint(r); err != nil {
			return err
		}
	}
	for range 2 { // key and value
		if r, err = skip(r, true); err != nil {
			return err
		}
	}
	headers, r, err := varint(r)
	if err != nil || headers < 0 || headers > int64(len(r))/2 {
		return errRecord
	}
	for range headers {
		if r, err = skip(r, false); err != nil {
			return err
		}
		if r, err = skip(r, true); err != nil {
			return err
		}
	}
	if len(r) > 0 {
		return errRecord
	}
	return nil
}

// skip passes over bytes that their length precedes; -1 is null.
func skip(r []byte, nullable bool) ([]byte, error) {
	n, r, err := varint(r)
	switch {
	case err != nil:
		return nil, err
	case n == -1 && nullable:
		return r, nil
	case n < 0 || n > int64(len(r)):
		return nil, errRecord
	}
	return r[n:], nil
}

func varint(b []byte) (int64, []byte, error) {
	n, width := binary.Varint(b)
	if width <= 0 {
		return 0, nil, errRecord
	}
	return n, b[width:], nil
}
