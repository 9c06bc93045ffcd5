package topictest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// Attack is a message that somebody who may write to the topic, and does not have its key, can put there. Its partition may be
// another one than the genuine message's.
type Attack struct {
	Name    string
	Message kafka.Message
	Reason  topic.Unverified // why it is skipped; "" for a genuine message that is repeated
}

// Attacks gives every kind of attack that can be made out of a genuine, signed message of a topic with n partitions.
func Attacks(tb testing.TB, genuine kafka.Message, n int) (all []Attack) {
	tb.Helper()
	d, err := topic.Decode(genuine)
	if err != nil {
		tb.Fatal(err)
	}
	add := func(name string, reason topic.Unverified, change func(m *kafka.Message)) {
		m := genuine
		m.Headers = slices.Clone(genuine.Headers)
		change(&m)
		all = append(all, Attack{name, m, reason})
	}
	at := func(m *kafka.Message, name string) *kafka.Header {
		i := slices.IndexFunc(m.Headers, func(h kafka.Header) bool { return h.Key == name })
		if i < 0 {
			tb.Fatalf("a genuine message has no %s", name)
		}
		return &m.Headers[i]
	}
	set := func(name, value string) func(*kafka.Message) {
		return func(m *kafka.Message) { at(m, name).Value = []byte(value) }
	}
	remove := func(name string) func(*kafka.Message) {
		return func(m *kafka.Message) {
			m.Headers = slices.DeleteFunc(m.Headers, func(h kafka.Header) bool { return h.Key == name })
		}
	}

	// Made up from what everybody can read on the topic: the next event of the stream, with every header right but the signature.
	made := func(position, prev uint64, incarnation string) kafka.Message {
		rec := d.Record
		rec.ID = es.DerivedID(rec.ID, "made up", int64(position%1e6)) //nolint:gosec // small
		rec.Position, rec.Revision = position, rec.Revision+1
		m := topic.Encode(rec, prev, incarnation, nil)
		m.Topic, m.Partition = genuine.Topic, genuine.Partition
		return m
	}
	const farAway = 9_000_000_000_000_000_000
	next := made(d.Record.Position+1, d.Record.Position, d.Incarnation)
	far := made(farAway, d.Record.Position, d.Incarnation)
	gap := made(farAway+1, farAway, d.Incarnation)
	other := made(d.Record.Position+1, d.Record.Position, "another")
	mac := *at(&genuine, "ce_mac")
	strangers := Keys(tb, 0xfe)
	for _, m := range []struct {
		name string
		kafka.Message
	}{{"plausible", next}, {"a position beyond the log", far}, {"a gap beyond the log", gap}, {"another incarnation", other}} {
		add("made up, "+m.name, topic.Unsigned, func(to *kafka.Message) { *to = m.Message })
		add("made up, "+m.name+", signature of another message", topic.Forged, func(to *kafka.Message) {
			*to = m.Message
			to.Headers = append(slices.Clone(m.Headers), mac)
		})
		add("made up, "+m.name+", signed with another key", topic.UnknownKey, func(to *kafka.Message) {
			*to = m.Message
			to.Headers = slices.Clone(m.Headers)
			if err := strangers.Sign(to); err != nil {
				tb.Fatal(err)
			}
		})
	}
	add("without any header", topic.Unsigned, func(m *kafka.Message) { m.Headers = nil })
	add("empty", topic.Unsigned, func(m *kafka.Message) { m.Headers, m.Key, m.Value = nil, nil, nil })

	// Genuine ones, changed.
	add("on another partition", topic.Forged, func(m *kafka.Message) { m.Partition = (m.Partition + 1) % n })
	add("key changed", topic.Forged, func(m *kafka.Message) { m.Key = append(slices.Clone(m.Key), 'x') })
	add("key null", topic.Forged, func(m *kafka.Message) { m.Key = nil })
	add("key empty", topic.Forged, func(m *kafka.Message) { m.Key = []byte{} })
	add("value changed", topic.Forged, func(m *kafka.Message) { m.Value = append(slices.Clone(m.Value), ' ') })
	add("value null", topic.Forged, func(m *kafka.Message) { m.Value = nil })
	add("value empty", topic.Forged, func(m *kafka.Message) { m.Value = []byte{} })
	add("end of key and beginning of value exchanged", topic.Forged, func(m *kafka.Message) {
		m.Key, m.Value = slices.Concat(m.Key, m.Value[:1]), m.Value[1:]
	})
	add("ce_position beyond the log", topic.Forged, set("ce_position", strconv.FormatUint(farAway, 10)))
	add("ce_source of another incarnation", topic.Forged, set("ce_source", "urn:daybook:another"))
	for _, h := range genuine.Headers {
		if h.Key == "ce_mac" {
			continue
		}
		add(h.Key+" changed", topic.Forged, func(m *kafka.Message) { at(m, h.Key).Value = append([]byte("9"), h.Value...) })
		add(h.Key+" null", topic.Forged, func(m *kafka.Message) { at(m, h.Key).Value = nil })
		add(h.Key+" empty", topic.Forged, func(m *kafka.Message) { at(m, h.Key).Value = []byte{} })
		add(h.Key+" removed", topic.Forged, remove(h.Key))
		add(h.Key+" repeated", topic.Forged, func(m *kafka.Message) { m.Headers = append(m.Headers, h) })
		add(h.Key+" twice, another first", topic.Forged, func(m *kafka.Message) {
			m.Headers = slices.Insert(m.Headers, 0, kafka.Header{Key: h.Key, Value: []byte("9")})
		})
	}
	add("a header ce_ added", topic.Forged, func(m *kafka.Message) {
		m.Headers = append(m.Headers, kafka.Header{Key: "ce_comment", Value: []byte("x")})
	})
	add("5,000 headers ce_ added", topic.Forged, func(m *kafka.Message) {
		for i := range 5_000 {
			m.Headers = append(m.Headers, kafka.Header{Key: fmt.Sprint("ce_", i)})
		}
	})
	add("a header ce_ of 512 KiB added", topic.Forged, func(m *kafka.Message) {
		m.Headers = append(m.Headers, kafka.Header{Key: "ce_comment", Value: bytes.Repeat([]byte("x"), 512<<10)})
	})

	// The signature itself.
	add("ce_mac removed", topic.Unsigned, remove("ce_mac"))
	add("ce_mac empty", topic.Forged, set("ce_mac", ""))
	add("ce_mac null", topic.Forged, func(m *kafka.Message) { at(m, "ce_mac").Value = nil })
	add("ce_mac cut", topic.Forged, set("ce_mac", string(mac.Value[:len(mac.Value)-1])))
	add("ce_mac prolonged", topic.Forged, set("ce_mac", string(mac.Value)+"="))
	add("ce_mac without a MAC", topic.Forged, set("ce_mac", string(mac.Value[:17])))
	add("ce_mac in capitals", topic.Forged, func(m *kafka.Message) {
		at(m, "ce_mac").Value = []byte(string(mac.Value[:17]) + swapCase(string(mac.Value[17:])))
	})
	add("ce_mac repeated", topic.Forged, func(m *kafka.Message) { m.Headers = append(m.Headers, mac) })
	add("ce_mac of an unknown key", topic.UnknownKey, set("ce_mac", "0123456789abcdef"+string(mac.Value[16:])))

	// Genuine ones, repeated: other headers are neither covered nor read.
	add("repeated", "", func(*kafka.Message) {})
	add("headers in another order", "", func(m *kafka.Message) { slices.Reverse(m.Headers) })
	add("a foreign header of 512 KiB added", "", func(m *kafka.Message) {
		m.Headers = append(m.Headers, kafka.Header{Key: "comment", Value: bytes.Repeat([]byte("x"), 512<<10)})
	})
	add("5,000 foreign headers added", "", func(m *kafka.Message) {
		for range 5_000 {
			m.Headers = append(m.Headers, kafka.Header{Key: "CE_POSITION", Value: []byte("9")})
		}
	})
	return all
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}
