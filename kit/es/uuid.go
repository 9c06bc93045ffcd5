package es

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 9562 §5.5 prescribes SHA-1 for version 5
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// UUID is an RFC 9562 UUID.
type UUID [16]byte

func (u UUID) IsZero() bool { return u == UUID{} }

func (u UUID) String() string {
	var b [36]byte
	u.encode(&b)
	return string(b[:])
}

func (u UUID) encode(b *[36]byte) {
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
}

func (u UUID) MarshalText() ([]byte, error) {
	var b [36]byte
	u.encode(&b)
	return b[:], nil
}

// UnmarshalText takes the canonical form of 36 characters.
func (u *UUID) UnmarshalText(b []byte) error {
	if len(b) != 36 || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return fmt.Errorf("%q is not a UUID", b)
	}
	var raw [32]byte
	n := copy(raw[:], b[0:8])
	n += copy(raw[n:], b[9:13])
	n += copy(raw[n:], b[14:18])
	n += copy(raw[n:], b[19:23])
	copy(raw[n:], b[24:36])
	var decoded UUID
	if _, err := hex.Decode(decoded[:], raw[:]); err != nil {
		return fmt.Errorf("%q is not a UUID", b)
	}
	*u = decoded
	return nil
}

// ParseUUID reads the canonical form.
func ParseUUID(s string) (u UUID, err error) { return u, u.UnmarshalText([]byte(s)) }

// randomUUID is for commands that are never repeated (version 4).
func randomUUID() (u UUID) {
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}

// namespace is where every id of Daybook is derived from.
var namespace = UUID{0xda, 0x7b, 0x00, 0x4b, 0, 0, 0x40, 0, 0x80}

// v5 derives an id from the JSON array of parts, which no two lists of parts share (RFC 9562 §5.5).
func v5(parts ...any) (u UUID) {
	b := append(make([]byte, 0, 512), namespace[:]...)
	for i, part := range parts {
		b = append(b, "[,"[min(i, 1)])
		b = appendJSON(b, part)
	}
	b = append(b, ']')
	sum := sha1.Sum(b) //nolint:gosec // see above
	copy(u[:], sum[:])
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	return u
}

// appendJSON appends what json.Marshal gives. Ids are derived all the time, and most parts need nothing of it.
func appendJSON(b []byte, part any) []byte {
	switch p := part.(type) {
	case string:
		if unescaped(p) {
			return append(append(append(b, '"'), p...), '"')
		}
	case Direction:
		return appendJSON(b, string(p))
	case UUID:
		var text [36]byte
		p.encode(&text)
		return append(append(append(b, '"'), text[:]...), '"')
	case int:
		return strconv.AppendInt(b, int64(p), 10)
	case uint64:
		return strconv.AppendUint(b, p, 10)
	case []byte:
		if p != nil {
			return append(base64.StdEncoding.AppendEncode(append(b, '"'), p), '"')
		}
	}
	encoded, err := json.Marshal(part)
	if err != nil { // parts are strings, numbers, bytes and UUIDs
		panic(err)
	}
	return append(b, encoded...)
}

// unescaped tells whether JSON has a text as it is between its quotes.
func unescaped(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// CommandID is the id of what a caller asked for once, however often it asks. resource is the target stream
// where the caller names it, else the collection.
func CommandID(caller, operation, resource, idempotencyKey string) UUID {
	return v5("command", caller, operation, resource, idempotencyKey)
}

// Direction of an effect: a step is done or undone.
type Direction string

const (
	Do   Direction = "do"
	Undo Direction = "undo"
)

// EffectID is the id of one command of a saga step. item is the line, shipment or return it is about, "" where
// there is one only; attempt counts business attempts, never transport retries.
func EffectID(instance, step, item string, attempt int, d Direction) UUID {
	return v5("effect", instance, step, item, attempt, d)
}

// DerivedID is an id that is a function of another one: what a server chooses for a caller, or an engine's
// own event, must come out the same when it is asked again.
func DerivedID(from UUID, parts ...any) UUID { return v5(append([]any{"derived", from}, parts...)...) }
