package wire

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// EventResp is the message that carries one event to a reader: ReadResp of the streams service, whose event agrees field
// for field with that of persistent subscriptions.
type EventResp struct {
	Event    *store.Record // nil: the link's target is gone
	Link     *store.Record
	TextUUID bool
	// Retries is sent by persistent subscriptions only: -1 leaves it out.
	Retries int32
}

// Size implements Encoder.
func (m *EventResp) Size() int { return sizeField(1, m.size()) }

func (m *EventResp) size() int {
	n := 0
	if m.Event != nil {
		n += sizeField(1, recordedSize(m.Event, m.TextUUID))
	}
	if m.Link != nil {
		n += sizeField(2, recordedSize(m.Link, m.TextUUID))
	}
	n += 1 + protowire.SizeVarint(m.original().Position)
	if m.Retries >= 0 {
		n += 1 + protowire.SizeVarint(uint64(m.Retries))
	}
	return n
}

func (m *EventResp) original() *store.Record {
	if m.Link != nil {
		return m.Link
	}
	return m.Event
}

// AppendTo implements Encoder.
func (m *EventResp) AppendTo(b []byte) []byte {
	b = appendLen(b, 1, m.size())
	if m.Event != nil {
		b = appendLen(b, 1, recordedSize(m.Event, m.TextUUID))
		b = appendRecorded(b, m.Event, m.TextUUID)
	}
	if m.Link != nil {
		b = appendLen(b, 2, recordedSize(m.Link, m.TextUUID))
		b = appendRecorded(b, m.Link, m.TextUUID)
	}
	b = appendVarint(b, 3, m.original().Position)
	if m.Retries >= 0 {
		b = appendVarint(b, 5, uint64(m.Retries))
	}
	return b
}

const (
	typeJSON  = "application/json"
	typeBytes = "application/octet-stream"

	propertyType        = "type"
	propertyContentType = "content-type"
	propertyCreated     = "created"
)

func contentType(r *store.Record) string {
	if r.JSON {
		return typeJSON
	}
	return typeBytes
}

func recordedSize(r *store.Record, text bool) int {
	n := sizeField(1, uuidSize(r.ID, text)) + sizeField(2, sizeField(3, len(r.Stream)))
	if r.Revision > 0 {
		n += 1 + protowire.SizeVarint(r.Revision)
	}
	n += 2 * (1 + protowire.SizeVarint(r.Position))
	n += sizeField(6, propertySize(propertyType, len(r.Type)))
	n += sizeField(6, propertySize(propertyContentType, len(contentType(r))))
	n += sizeField(6, propertySize(propertyCreated, decimalLen(r.Created)))
	if len(r.Meta) > 0 {
		n += sizeField(7, len(r.Meta))
	}
	if len(r.Data) > 0 {
		n += sizeField(8, len(r.Data))
	}
	return n
}

func appendRecorded(b []byte, r *store.Record, text bool) []byte {
	b = appendLen(b, 1, uuidSize(r.ID, text))
	b = appendUUID(b, r.ID, text)
	b = appendLen(b, 2, sizeField(3, len(r.Stream)))
	b = append(appendLen(b, 3, len(r.Stream)), r.Stream...)
	if r.Revision > 0 {
		b = appendVarint(b, 3, r.Revision)
	}
	b = appendVarint(b, 4, r.Position)
	b = appendVarint(b, 5, r.Position)
	b = append(appendProperty(b, propertyType, len(r.Type)), r.Type...)
	b = append(appendProperty(b, propertyContentType, len(contentType(r))), contentType(r)...)
	b = strconv.AppendInt(appendProperty(b, propertyCreated, decimalLen(r.Created)), r.Created, 10)
	if len(r.Meta) > 0 {
		b = append(appendLen(b, 7, len(r.Meta)), r.Meta...)
	}
	if len(r.Data) > 0 {
		b = append(appendLen(b, 8, len(r.Data)), r.Data...)
	}
	return b
}

func propertySize(key string, value int) int { return sizeField(1, len(key)) + sizeField(2, value) }

// appendProperty writes a map entry up to its value's bytes.
func appendProperty(b []byte, key string, value int) []byte {
	b = appendLen(b, 6, propertySize(key, value))
	b = append(appendLen(b, 1, len(key)), key...)
	return appendLen(b, 2, value)
}

func uuidSize(id store.ID, text bool) int {
	if text {
		return sizeField(2, 36)
	}
	return sizeField(1, structuredSize(id))
}

func structuredSize(id store.ID) int {
	n := 0
	if v := binary.BigEndian.Uint64(id[:8]); v != 0 {
		n += 1 + protowire.SizeVarint(v)
	}
	if v := binary.BigEndian.Uint64(id[8:]); v != 0 {
		n += 1 + protowire.SizeVarint(v)
	}
	return n
}

func appendUUID(b []byte, id store.ID, text bool) []byte {
	if text {
		return append(appendLen(b, 2, 36), UUIDText(id)...)
	}
	b = appendLen(b, 1, structuredSize(id))
	if v := binary.BigEndian.Uint64(id[:8]); v != 0 {
		b = appendVarint(b, 1, v)
	}
	if v := binary.BigEndian.Uint64(id[8:]); v != 0 {
		b = appendVarint(b, 2, v)
	}
	return b
}

// UUIDText writes an id in the usual form.
func UUIDText(id store.ID) string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// BatchSuccess is the BatchAppendResp of an append that is written.
type BatchSuccess struct {
	Correlation store.ID
	TextUUID    bool
	Stream      string
	Expected    store.Expected // given back as it was asked
	Revision    int64          // -1: the stream has no events
	Position    uint64         // 0: none
}

func (m *BatchSuccess) result() int {
	n := 2 // no_stream, an empty message
	if m.Revision >= 0 {
		n = 1 + protowire.SizeVarint(uint64(m.Revision))
	}
	if m.Position == 0 {
		return n + 2
	}
	return n + sizeField(3, 2*(1+protowire.SizeVarint(m.Position)))
}

// Size implements Encoder.
func (m *BatchSuccess) Size() int {
	n := sizeField(1, uuidSize(m.Correlation, m.TextUUID)) + sizeField(3, m.result())
	n += sizeField(4, sizeField(3, len(m.Stream)))
	if m.Expected >= 0 {
		return n + 1 + protowire.SizeVarint(uint64(m.Expected))
	}
	return n + 2
}

// AppendTo implements Encoder.
func (m *BatchSuccess) AppendTo(b []byte) []byte {
	b = appendUUID(appendLen(b, 1, uuidSize(m.Correlation, m.TextUUID)), m.Correlation, m.TextUUID)
	b = appendLen(b, 3, m.result())
	if m.Revision >= 0 {
		b = appendVarint(b, 1, uint64(m.Revision))
	} else {
		b = appendLen(b, 2, 0)
	}
	if m.Position == 0 {
		b = appendLen(b, 4, 0)
	} else {
		b = appendLen(b, 3, 2*(1+protowire.SizeVarint(m.Position)))
		b = appendVarint(appendVarint(b, 1, m.Position), 2, m.Position)
	}
	b = appendLen(b, 4, sizeField(3, len(m.Stream)))
	b = append(appendLen(b, 3, len(m.Stream)), m.Stream...)
	switch m.Expected {
	case store.ExpectNoStream:
		return appendLen(b, 6, 0)
	case store.ExpectAny:
		return appendLen(b, 7, 0)
	case store.ExpectExists:
		return appendLen(b, 8, 0)
	}
	return appendVarint(b, 5, uint64(m.Expected))
}

// The fields written here are all below 16: their tags take one byte.

func sizeField(_ protowire.Number, n int) int { return 1 + protowire.SizeBytes(n) }

func appendLen(b []byte, num protowire.Number, n int) []byte {
	return protowire.AppendVarint(append(b, byte(num)<<3|byte(protowire.BytesType)), uint64(n))
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(append(b, byte(num)<<3|byte(protowire.VarintType)), v)
}

func decimalLen(v int64) int {
	var b [20]byte
	return len(strconv.AppendInt(b[:0], v, 10))
}

// JoinUUID puts the two halves of a structured UUID together.
func JoinUUID(most, least int64) (id store.ID) {
	binary.BigEndian.PutUint64(id[:8], uint64(most))
	binary.BigEndian.PutUint64(id[8:], uint64(least))
	return id
}
