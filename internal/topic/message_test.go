package topic

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/kit/es"
)

func sample() es.Record {
	return es.Record{
		ID: es.CommandID("a", "b", "c", "d"), Stream: es.StreamID{Category: "order", Key: "O/1"}, Revision: 3, Position: 42,
		Created: time.Date(2026, 3, 1, 12, 30, 0, 123456000, time.UTC), Type: "order.placed", Data: []byte(`{"a":1}`),
		Meta: []byte(`{"schema":2,"actor":{"id":"\",\"traceparent\":\"00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01\"","kind":"user"},` +
			`"occurredAt":"2026-02-28T08:00:00Z","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`),
	}
}

func header(m kafka.Message, key string) string {
	for _, h := range m.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func TestAMessageIsACloudEvent(t *testing.T) {
	t.Parallel()
	m := Encode(sample(), 17, "i1", nil)
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": sample().ID.String(), "ce_type": "order.placed", "ce_source": "urn:daybook:i1",
		"ce_subject": "order-O~2F1", "ce_time": "2026-03-01T12:30:00.123456Z", "ce_occurredat": "2026-02-28T08:00:00Z",
		"content-type": "application/json", "ce_revision": "3", "ce_position": "42", "ce_prev": "17", "ce_filter": "1",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "ce_metadata": string(sample().Meta),
	}
	got := map[string]string{}
	for _, h := range m.Headers {
		got[h.Key] = string(h.Value)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if string(m.Key) != "O~2F1" || string(m.Value) != `{"a":1}` || !m.Time.IsZero() {
		t.Errorf("key %q, value %q, time %v", m.Key, m.Value, m.Time)
	}
}

func TestDecodeGivesTheRecordBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		stream := es.StreamID{Category: rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "category"),
			Key: rapid.StringN(1, 20, -1).Draw(t, "key"), N: rapid.IntRange(0, 3).Draw(t, "n")}
		if rapid.Bool().Draw(t, "foreign") {
			stream = es.AnyStreamID(rapid.StringMatching(`[a-zA-Z0-9 .~/-]{1,30}`).Draw(t, "name"))
		}
		position := rapid.Uint64Min(1).Draw(t, "position")
		want := Message{
			Record: es.Record{
				ID: es.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")), Stream: stream, Position: position,
				Revision: rapid.Uint64().Draw(t, "revision"),
				Created:  time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), 100*rapid.Int64Range(0, 9_999_999).Draw(t, "ticks")).UTC(),
				Type:     rapid.StringMatching(`[a-z]+\.[a-z_]+`).Draw(t, "type"),
				Data:     rapid.SliceOf(rapid.Byte()).Draw(t, "data"), Meta: rapid.SliceOf(rapid.Byte()).Draw(t, "meta"),
			},
			Prev:        rapid.Uint64Max(position-1).Draw(t, "prev"),
			Filter:      es.RelayFilter,
			Incarnation: rapid.StringMatching(`[a-z0-9-]{1,36}`).Draw(t, "incarnation"),
		}
		got, err := Decode(Encode(want.Record, want.Prev, want.Incarnation, nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestMalformedMessagesAreNamed(t *testing.T) {
	t.Parallel()
	set := func(key, value string) func(*kafka.Message) {
		return func(m *kafka.Message) {
			i := slices.IndexFunc(m.Headers, func(h kafka.Header) bool { return h.Key == key })
			m.Headers[i].Value = []byte(value)
		}
	}
	type malformation struct {
		name   string
		change func(*kafka.Message)
		want   string
	}
	cases := []malformation{
		{"spec", set(headerSpec, "0.3"), headerSpec},
		{"id", set(headerID, "not-a-uuid"), headerID},
		{"empty id", set(headerID, ""), headerID},
		{"source", set(headerSource, "urn:other:x"), headerSource},
		{"no incarnation", set(headerSource, "urn:daybook:"), headerSource},
		{"time", set(headerTime, "yesterday"), headerTime},
		{"revision", set(headerRevision, "-1"), headerRevision},
		{"position zero", set(headerPosition, "0"), headerPosition},
		{"position overflow", set(headerPosition, "18446744073709551616"), headerPosition},
		{"position sign", set(headerPosition, "+42"), headerPosition},
		{"position zeros", set(headerPosition, "042"), headerPosition},
		{"prev text", set(headerPrev, "x"), headerPrev},
		{"prev empty", set(headerPrev, ""), headerPrev},
		{"prev itself", set(headerPrev, "42"), headerPrev},
		{"prev later", set(headerPrev, "43"), headerPrev},
		{"system type", set(headerType, "$metadata"), headerType},
		{"system stream", set(headerSubject, "$settings"), headerType},
		{"other key", func(m *kafka.Message) { m.Key = []byte("P") }, "key"},
		{"no key", func(m *kafka.Message) { m.Key = nil }, "key"},
	}
	for _, name := range requiredNames {
		cases = append(cases,
			malformation{"without " + name, func(m *kafka.Message) {
				m.Headers = slices.DeleteFunc(m.Headers, func(h kafka.Header) bool { return h.Key == name })
			}, name},
			malformation{"twice " + name, func(m *kafka.Message) {
				m.Headers = append(m.Headers, kafka.Header{Key: name, Value: []byte(header(*m, name))})
			}, name})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := Encode(sample(), 17, "i1", nil)
			m.Topic, m.Partition, m.Offset = "events", 3, 99
			c.change(&m)
			_, err := Decode(m)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "events/3@99") {
				t.Errorf("error %v does not name %s and the message", err, c.want)
			}
		})
	}
}

func TestForeignMetadataHasNoSchemaAndNoTrace(t *testing.T) {
	t.Parallel()
	for meta, schema := range map[string]int{
		``: 0, `not json`: 0, `{}`: 0, `{"schema":3}`: 3, `{ "schema": 4 }`: 4, `{"schema":-1}`: 0, `{"schema":"x"}`: 0,
		`{"a":1,"traceparent":"short"}`: 0, `{"a":1,"traceparent":"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`: 0,
	} {
		if got := schemaOf([]byte(meta)); got != schema {
			t.Errorf("schemaOf(%s) = %d, want %d", meta, got, schema)
		}
		if got := traceOf([]byte(meta)); got != "" {
			t.Errorf("traceOf(%s) = %q", meta, got)
		}
	}
}

func BenchmarkEncodeDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(Encode(sample(), 17, "i1", nil)); err != nil {
			b.Fatal(err)
		}
	}
}
