package topic_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
	"github.com/daybook-dev/daybook/kit/es"
)

func placed() es.Record {
	return es.Record{
		ID: es.CommandID("a", "b", "c", "d"), Stream: es.StreamID{Category: "order", Key: "O-1"}, Revision: 3, Position: 42,
		Created: time.Date(2026, 3, 1, 12, 30, 0, 123456000, time.UTC), Type: "order.placed", Data: []byte(`{"a":1}`),
		Meta: []byte(`{"schema":1,"occurredAt":"2026-03-01T12:29:59.5Z","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`),
	}
}

func TestOnlyWhatWasSignedVerifies(t *testing.T) {
	t.Parallel()
	keys := topictest.Keys(t)
	genuine := topictest.Message(t, keys, "events", 3, placed(), 17, "i1")
	if err := keys.Verify(genuine); err != nil {
		t.Fatalf("a genuine message: %v", err)
	}
	for _, a := range topictest.Attacks(t, genuine, 12) {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			err := keys.Verify(a.Message)
			if got, _ := errors.AsType[topic.Unverified](err); got != a.Reason || (err == nil) != (a.Reason == "") {
				t.Errorf("verified as %v, want %q", err, a.Reason)
			}
		})
	}
	elsewhere := topictest.Message(t, keys, "another.topic", 3, placed(), 17, "i1")
	elsewhere.Topic = "events"
	if err := keys.Verify(elsewhere); !errors.Is(err, topic.Forged) {
		t.Errorf("a message of another topic verifies: %v", err)
	}
}

// The signature is an interface: a program with the key can check it in any language. api/asyncapi.yaml describes it.
func TestTheSignatureStaysTheSame(t *testing.T) {
	t.Parallel()
	m := topictest.Message(t, topictest.Keys(t), "daybook.events", 3, placed(), 17, "i1")
	const want = "0e3d7e047f126cb6.qdRCwXCT8kQ-NsBL1V4mYUpG3LnQDjbaybGYWDyQCmQ"
	if got := string(m.Headers[len(m.Headers)-1].Value); m.Headers[len(m.Headers)-1].Key != "ce_mac" || got != want {
		t.Errorf("ce_mac %s, want %s", got, want)
	}
}

func TestNullAndEmptyAreDifferent(t *testing.T) {
	t.Parallel()
	keys := topictest.Keys(t)
	for _, value := range [][]byte{nil, {}} {
		rec := placed()
		rec.Data = value
		m := topictest.Message(t, keys, "events", 0, rec, 0, "i1")
		if err := keys.Verify(m); err != nil {
			t.Errorf("value %#v: %v", value, err)
		}
		m.Value = map[bool][]byte{true: {}, false: nil}[value == nil]
		if err := keys.Verify(m); !errors.Is(err, topic.Forged) {
			t.Errorf("value %#v passes for %#v", m.Value, value)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	old, added, first, removed := topictest.Keys(t, 'o'), topictest.Keys(t, 'o', 'n'), topictest.Keys(t, 'n', 'o'), topictest.Keys(t, 'n')
	stages := []*topic.Keys{old, added, first, removed}
	for i, signer := range stages {
		m := topictest.Message(t, signer, "events", 0, placed(), 0, "i1")
		for j := max(i-1, 0); j <= min(i+1, len(stages)-1); j++ { // machines are at most one step apart
			if err := stages[j].Verify(m); err != nil {
				t.Errorf("signed at step %d, verified at step %d: %v", i, j, err)
			}
		}
	}
	if err := removed.Verify(topictest.Message(t, old, "events", 0, placed(), 0, "i1")); !errors.Is(err, topic.UnknownKey) {
		t.Errorf("a removed key: %v", err)
	}
}

func BenchmarkSignAndVerify(b *testing.B) {
	for _, size := range []int{300, 4000} {
		b.Run(map[int]string{300: "300B", 4000: "4kB"}[size], func(b *testing.B) {
			keys := topictest.Keys(b)
			rec := placed()
			rec.Data = bytes.Repeat([]byte("x"), size)
			unsigned := topic.Encode(rec, 17, "i1", nil)
			unsigned.Topic = "daybook.events"
			n := len(unsigned.Headers)
			b.Run("sign", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					m := unsigned
					m.Headers = unsigned.Headers[:n]
					if err := keys.Sign(&m); err != nil {
						b.Fatal(err)
					}
				}
			})
			signed := topictest.Message(b, keys, "daybook.events", 0, rec, 17, "i1")
			b.Run("verify", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := keys.Verify(signed); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
