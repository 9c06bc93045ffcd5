package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/protofields"
)

// ExpectUnset: the message named no expected revision.
const ExpectUnset store.Expected = math.MinInt64

// Event is a proposed event and what was missing in it.
type Event struct {
	store.Event

	HasID, HasType, HasContentType bool

	id uuid
}

// AppendReq is one message of an Append call: options, or an event.
type AppendReq struct {
	Options  bool
	Stream   string
	Expected store.Expected
	Proposed bool
	Event    Event
}

// BatchAppendReq is one message of a BatchAppend call. Its events keep slices of the message.
type BatchAppendReq struct {
	Correlation    store.ID
	HasCorrelation bool
	TextUUID       bool // the client wrote the correlation id as text
	Options        bool
	Stream         string
	Expected       store.Expected
	Timeout        time.Duration // deadline from receipt on, if HasTimeout
	HasTimeout     bool
	Deadline       time.Time // absolute deadline, as clients of 21.10 send it; zero: none
	Events         []Event
	Final          bool

	id       uuid
	deadline deadline
}

// uuid and deadline are fields whose parts may come in several pieces; only their last form counts.
type uuid struct {
	form uuidForm
	text string
	bits store.ID
}

type uuidForm uint8

const (
	formNone uuidForm = iota
	formBits
	formText
)

type deadline struct {
	set, absolute  bool
	seconds, nanos int64
}

var errText = errors.New("text is not UTF-8")

const (
	bytesType  = protowire.BytesType
	varintType = protowire.VarintType
)

// Decode implements Decoder.
func (m *AppendReq) Decode(b []byte) error {
	*m = AppendReq{Expected: ExpectUnset}
	err := protofields.Each(b, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		switch {
		case num == 1 && typ == bytesType:
			if m.Proposed { // a oneof: the last one counts
				m.Proposed, m.Event = false, Event{}
			}
			m.Options = true
			return decodeOptions(v, &m.Stream, &m.Expected, nil)
		case num == 2 && typ == bytesType:
			if m.Options {
				m.Options, m.Stream, m.Expected = false, "", ExpectUnset
			}
			m.Proposed = true
			return m.Event.decode(v)
		}
		return nil
	})
	if err == nil {
		err = m.Event.finish()
	}
	return err
}

// Decode implements Decoder. The events' slice is used again.
func (m *BatchAppendReq) Decode(b []byte) error { return m.DecodePieces(b) }

// DecodePieces decodes a message that lies in pieces, none of which splits a field.
func (m *BatchAppendReq) DecodePieces(pieces ...[]byte) (err error) {
	*m = BatchAppendReq{Expected: ExpectUnset, Events: m.Events[:0]}
	for _, b := range pieces {
		if err = m.merge(b); err != nil {
			return err
		}
	}
	return m.finish()
}

func (m *BatchAppendReq) merge(b []byte) error {
	return protofields.Each(b, func(num protowire.Number, typ protowire.Type, v []byte, n uint64) error {
		switch {
		case num == 1 && typ == bytesType:
			m.HasCorrelation = true
			return m.id.decode(v)
		case num == 2 && typ == bytesType:
			m.Options = true
			return decodeOptions(v, &m.Stream, &m.Expected, m)
		case num == 3 && typ == bytesType:
			m.Events = append(m.Events, Event{})
			return m.Events[len(m.Events)-1].decode(v)
		case num == 4 && typ == varintType:
			m.Final = n != 0
		}
		return nil
	})
}

func (m *BatchAppendReq) finish() (err error) {
	for i := range m.Events {
		if err = m.Events[i].finish(); err != nil {
			return err
		}
	}
	switch d := m.deadline; {
	case d.set && d.absolute:
		m.Deadline = time.Unix(d.seconds, d.nanos)
	case d.set:
		m.HasTimeout, m.Timeout = true, duration(d.seconds, d.nanos)
	}
	m.TextUUID = m.id.form == formText
	m.Correlation, err = m.id.value()
	return err
}

// decodeOptions reads AppendReq.Options and, with batch set, BatchAppendReq.Options, whose fields agree.
func decodeOptions(b []byte, stream *string, expected *store.Expected, batch *BatchAppendReq) error {
	return protofields.Each(b, func(num protowire.Number, typ protowire.Type, v []byte, n uint64) error {
		switch {
		case num == 1 && typ == bytesType:
			return protofields.Each(v, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
				if num == 3 && typ == bytesType {
					*stream = string(v)
				}
				return nil
			})
		case num == 2 && typ == varintType:
			*expected = store.Expected(n & math.MaxInt64) // a revision beyond is of no event, and must not become a name
			if n > math.MaxInt64 {
				*expected = math.MaxInt64
			}
		case num == 3 && typ == bytesType:
			*expected = store.ExpectNoStream
			return empty(v)
		case num == 4 && typ == bytesType:
			*expected = store.ExpectAny
			return empty(v)
		case num == 5 && typ == bytesType:
			*expected = store.ExpectExists
			return empty(v)
		case (num == 6 || num == 7) && typ == bytesType && batch != nil:
			if d := &batch.deadline; !d.set || d.absolute != (num == 6) {
				*d = deadline{set: true, absolute: num == 6}
			}
			return decodeSeconds(v, &batch.deadline.seconds, &batch.deadline.nanos)
		}
		return nil
	})
}

// empty checks a message without fields.
func empty(b []byte) error {
	return protofields.Each(b, func(protowire.Number, protowire.Type, []byte, uint64) error { return nil })
}

// decodeSeconds reads google.protobuf.Timestamp and Duration.
func decodeSeconds(b []byte, s, ns *int64) error {
	return protofields.Each(b, func(num protowire.Number, typ protowire.Type, _ []byte, n uint64) error {
		switch {
		case num == 1 && typ == varintType:
			*s = int64(n)
		case num == 2 && typ == varintType:
			*ns = int64(int32(n))
		}
		return nil
	})
}

// duration saturates.
func duration(s, ns int64) time.Duration {
	const most = math.MaxInt64/int64(time.Second) - 3 // room for the nanoseconds, which have no bound
	if s >= most {
		return math.MaxInt64
	}
	if s <= -most {
		return math.MinInt64
	}
	return time.Duration(s)*time.Second + time.Duration(ns)
}

func (e *Event) decode(b []byte) error {
	return protofields.Each(b, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if typ != bytesType {
			return nil
		}
		switch num {
		case 1:
			e.HasID = true
			return e.id.decode(v)
		case 2:
			return e.decodeProperty(v)
		case 3:
			e.Meta = v
		case 4:
			e.Data = v
		}
		return nil
	})
}

func (e *Event) finish() (err error) {
	e.ID, err = e.id.value()
	return err
}

func (e *Event) decodeProperty(b []byte) error {
	var key, value []byte
	err := protofields.Each(b, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if typ != bytesType || num > 2 {
			return nil
		}
		if !utf8.Valid(v) {
			return errText
		}
		if num == 1 {
			key = v
		} else {
			value = v
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch string(key) {
	case "type":
		e.Type, e.HasType = string(value), true
	case "content-type":
		e.JSON, e.HasContentType = string(value) == "application/json", true
	}
	return nil
}

// decode reads event_store.client.UUID in either of its forms.
func (u *uuid) decode(b []byte) error {
	return protofields.Each(b, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		switch {
		case num == 1 && typ == bytesType:
			if u.form != formBits {
				*u = uuid{form: formBits}
			}
			return protofields.Each(v, func(num protowire.Number, typ protowire.Type, _ []byte, n uint64) error {
				switch {
				case num == 1 && typ == varintType:
					putUint64(u.bits[:8], n)
				case num == 2 && typ == varintType:
					putUint64(u.bits[8:], n)
				}
				return nil
			})
		case num == 2 && typ == bytesType:
			if !utf8.Valid(v) {
				return errText
			}
			*u = uuid{form: formText, text: string(v)}
		}
		return nil
	})
}

func (u *uuid) value() (store.ID, error) {
	if u.form == formText {
		return ParseUUID(u.text)
	}
	return u.bits, nil
}

func putUint64(b []byte, v uint64) {
	for i := range 8 {
		b[i] = byte(v >> (56 - 8*i))
	}
}

// ParseUUID reads the usual form, with or without dashes.
func ParseUUID(s string) (id store.ID, err error) {
	h := strings.ReplaceAll(s, "-", "")
	if len(h) != 32 || len(s) != 32 && len(s) != 36 {
		return id, fmt.Errorf("%q is not a UUID", cut(s))
	}
	if _, err := hex.Decode(id[:], []byte(h)); err != nil {
		return store.ID{}, fmt.Errorf("%q is not a UUID", cut(s))
	}
	return id, nil
}

func cut(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
