// Package topictest is for tests that write or read the relay's topic.
package topictest

import (
	"bytes"
	"slices"
	"strconv"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// Keys gives the keys made of letters: the first signs, all verify. Without letters it is "k".
func Keys(tb testing.TB, letters ...byte) *topic.Keys {
	tb.Helper()
	if len(letters) == 0 {
		letters = []byte{'k'}
	}
	keys, err := topic.NewKeys(func() (all [][]byte, _ error) {
		for _, l := range letters {
			all = append(all, bytes.Repeat([]byte{l}, 32))
		}
		return all, nil
	}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// Message is a record as the relay publishes it on a topic, signed.
func Message(tb testing.TB, keys *topic.Keys, name string, partition int, rec es.Record, prev uint64, incarnation string) kafka.Message {
	tb.Helper()
	m := topic.Encode(rec, prev, incarnation, nil)
	m.Topic, m.Partition = name, partition
	if err := keys.Sign(&m); err != nil {
		tb.Fatal(err)
	}
	return m
}

// Filtered is a message as a relay with another filter signs it.
func Filtered(tb testing.TB, keys *topic.Keys, m kafka.Message, filter int) kafka.Message {
	tb.Helper()
	m.Headers = slices.DeleteFunc(slices.Clone(m.Headers), func(h kafka.Header) bool { return h.Key == "ce_mac" })
	for i := range m.Headers {
		if m.Headers[i].Key == "ce_filter" {
			m.Headers[i].Value = strconv.AppendInt(nil, int64(filter), 10)
		}
	}
	if err := keys.Sign(&m); err != nil {
		tb.Fatal(err)
	}
	return m
}
