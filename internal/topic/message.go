package topic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/kit/es"
)

// The headers of a message: a CloudEvent 1.0 in binary mode (Kafka protocol binding §3.2), and ours: what it takes to
// rebuild the record, and ce_prev, by which a consumer sees that nothing is missing before the message.
const (
	headerSpec       = "ce_specversion"
	headerID         = "ce_id"
	headerType       = "ce_type"
	headerSource     = "ce_source"  // urn:daybook:<incarnation>
	headerSubject    = "ce_subject" // the stream's name
	headerTime       = "ce_time"    // recorded time
	headerDataSchema = "ce_dataschema"
	headerRevision   = "ce_revision"
	headerPosition   = "ce_position"
	headerPrev       = "ce_prev"
	headerFilter     = "ce_filter"     // the number of the rule that says what is relayed, and with it what ce_prev leaves out
	headerMetadata   = "ce_metadata"   // as stored
	headerOccurred   = "ce_occurredat" // business time
	headerContent    = "content-type"
	headerTrace      = "traceparent"

	sourcePrefix = "urn:daybook:"
)

// Message is what a Kafka message says: a record of the store, and where the chain of its partition was before it.
type Message struct {
	Record      es.Record
	Prev        uint64 // position of the event before it in the same partition, 0 for the first
	Incarnation string // of the store it comes from
	Filter      int    // es.RelayFilter of the relay
}

// Encode makes the message of a record; schema gives the address of what describes an event of a type and version, "" if there is none, and
// may be nil. The message has no timestamp of its own: the broker's retention counts from
// publishing, not from the day the event was recorded. The record's bytes are shared, not copied.
func Encode(rec es.Record, prev uint64, incarnation string, schema func(eventType string, version int) string) kafka.Message {
	headers := make([]kafka.Header, 0, 17) // and room for the address of the schema, and the signature
	add := func(key, value string) { headers = append(headers, kafka.Header{Key: key, Value: []byte(value)}) }
	add(headerSpec, "1.0")
	add(headerID, rec.ID.String())
	add(headerType, rec.Type)
	add(headerSource, sourcePrefix+incarnation)
	add(headerSubject, rec.Stream.String())
	add(headerTime, rec.Created.UTC().Format(time.RFC3339Nano))
	if occurred := occurredOf(rec.Meta); occurred != "" {
		add(headerOccurred, occurred)
	}
	add(headerContent, "application/json")
	add(headerRevision, strconv.FormatUint(rec.Revision, 10))
	add(headerPosition, strconv.FormatUint(rec.Position, 10))
	add(headerPrev, strconv.FormatUint(prev, 10))
	add(headerFilter, strconv.Itoa(es.RelayFilter))
	if trace := traceOf(rec.Meta); trace != "" {
		add(headerTrace, trace)
	}
	headers = append(headers, kafka.Header{Key: headerMetadata, Value: rec.Meta})
	if version := schemaOf(rec.Meta); version > 0 && schema != nil {
		if address := schema(rec.Type, version); address != "" {
			add(headerDataSchema, address)
		}
	}
	return kafka.Message{Key: []byte(rec.Stream.Partition()), Value: rec.Data, Headers: headers}
}

// Decode reads what Encode wrote; the record is the very one that was encoded. Anything else is an error that names
// the header. Unknown headers are ignored. The message's bytes are shared, not copied.
func Decode(m kafka.Message) (Message, error) {
	h, err := readHeaders(m.Headers)
	if err != nil {
		return Message{}, malformed(m, err)
	}
	out := Message{Record: es.Record{Type: string(h.value[atType]), Data: m.Value, Meta: h.value[atMetadata]}}
	rec := &out.Record
	if got := h.value[atSpec]; string(got) != "1.0" {
		return Message{}, malformed(m, fmt.Errorf("header %s: %q is not 1.0", headerSpec, got))
	}
	if rec.ID, err = es.ParseUUID(string(h.value[atID])); err != nil {
		return Message{}, malformed(m, fmt.Errorf("header %s: %w", headerID, err))
	}
	incarnation, ok := strings.CutPrefix(string(h.value[atSource]), sourcePrefix)
	if !ok || incarnation == "" {
		return Message{}, malformed(m, fmt.Errorf("header %s: %q is not %s<incarnation>", headerSource, h.value[atSource], sourcePrefix))
	}
	out.Incarnation = incarnation
	rec.Stream = es.AnyStreamID(string(h.value[atSubject]))
	if rec.Created, err = time.Parse(time.RFC3339Nano, string(h.value[atTime])); err != nil {
		return Message{}, malformed(m, fmt.Errorf("header %s: %q is not an RFC 3339 time", headerTime, h.value[atTime]))
	}
	rec.Created = rec.Created.UTC()
	var filter uint64
	for _, n := range []struct {
		at   int
		name string
		to   *uint64
	}{{atRevision, headerRevision, &rec.Revision}, {atPosition, headerPosition, &rec.Position}, {atPrev, headerPrev, &out.Prev}, {atFilter, headerFilter, &filter}} {
		if *n.to, err = number(h.value[n.at]); err != nil {
			return Message{}, malformed(m, fmt.Errorf("header %s: %w", n.name, err))
		}
	}
	out.Filter = int(min(filter, math.MaxInt32)) //nolint:gosec // capped
	switch key := rec.Stream.Partition(); {
	case rec.Position == 0:
		return Message{}, malformed(m, fmt.Errorf("header %s: positions begin at 1", headerPosition))
	case out.Prev >= rec.Position:
		return Message{}, malformed(m, fmt.Errorf("header %s: %d is not before position %d", headerPrev, out.Prev, rec.Position))
	case !rec.Relayed() && out.Filter == es.RelayFilter:
		return Message{}, malformed(m, fmt.Errorf("header %s: %s of stream %s is not relayed", headerType, rec.Type, rec.Stream))
	case string(m.Key) != key:
		return Message{}, malformed(m, fmt.Errorf("key %q is not the key %q of stream %s", m.Key, key, rec.Stream))
	}
	return out, nil
}

// The headers that every message has, as indexes of a decoded set.
const (
	atSpec = iota
	atID
	atType
	atSource
	atSubject
	atTime
	atRevision
	atPosition
	atPrev
	atFilter
	atMetadata
	required
)

var requiredNames = [required]string{headerSpec, headerID, headerType, headerSource, headerSubject, headerTime,
	headerRevision, headerPosition, headerPrev, headerFilter, headerMetadata}

type headerSet struct{ value [required][]byte }

func readHeaders(headers []kafka.Header) (headerSet, error) {
	var (
		h    headerSet
		seen [required]bool
	)
	for _, header := range headers {
		for at, name := range requiredNames {
			if header.Key != name {
				continue
			}
			if seen[at] {
				return h, fmt.Errorf("header %s: given twice", name)
			}
			seen[at], h.value[at] = true, header.Value
		}
	}
	for at, name := range requiredNames {
		if !seen[at] {
			return h, fmt.Errorf("header %s: missing", name)
		}
	}
	return h, nil
}

func malformed(m kafka.Message, err error) error {
	return fmt.Errorf("message %s/%d@%d is not one of the relay's: %w", m.Topic, m.Partition, m.Offset, err)
}

// number reads the one way in which Encode writes a number.
func number(b []byte) (uint64, error) {
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil || len(b) > 1 && b[0] == '0' {
		return 0, fmt.Errorf("%q is not a number", b)
	}
	return n, nil
}

// schemaOf reads the schema version, which comes first in metadata that Daybook wrote; 0 if there is none.
func schemaOf(meta []byte) int {
	if rest, ok := bytes.CutPrefix(meta, []byte(`{"schema":`)); ok {
		if end := bytes.IndexAny(rest, ",}"); end > 0 {
			if n, err := strconv.Atoi(string(rest[:end])); err == nil && n > 0 {
				return n
			}
		}
	}
	var m struct {
		Schema int `json:"schema"`
	}
	if json.Unmarshal(meta, &m) != nil {
		return 0
	}
	return max(m.Schema, 0)
}

// occurredOf is the business time, as it is written in the metadata; "" if there is none.
func occurredOf(meta []byte) string {
	var at string
	if _, rest, ok := bytes.Cut(meta, []byte(`,"occurredAt":"`)); ok { // no string can hold this: its quotes would be escaped
		if end := bytes.IndexByte(rest, '"'); end > 0 {
			at = string(rest[:end])
		}
	} else {
		var m struct {
			OccurredAt string `json:"occurredAt"`
		}
		if !bytes.Contains(meta, []byte(`"occurredAt"`)) || json.Unmarshal(meta, &m) != nil {
			return ""
		}
		at = m.OccurredAt
	}
	if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
		return ""
	}
	return at
}

// traceOf finds the W3C trace context without decoding the metadata. A quote inside a JSON string is escaped, so
// these bytes can only be a key.
func traceOf(meta []byte) string {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	_, rest, ok := bytes.Cut(meta, []byte(`,"traceparent":"`))
	if !ok || len(rest) <= length || rest[length] != '"' {
		return ""
	}
	for i, c := range rest[:length] {
		dash := i == 2 || i == 35 || i == 52
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return string(rest[:length])
}
