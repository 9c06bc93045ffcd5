package doctor

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"math/bits"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// sums makes sums of values as Postgres sends them; two that mean the same have the same. It belongs to one goroutine.
type sums struct {
	types *pgtype.Map
	room  []byte
}

var seed = maphash.MakeSeed()

// of encodes a value and sums it.
func (s *sums) of(c column, value any) (uint64, error) {
	raw, err := s.types.Encode(c.oid, pgtype.BinaryFormatCode, value, s.room[:0])
	if err != nil {
		return 0, err
	}
	if cap(raw) > cap(s.room) {
		s.room = raw
	}
	return sumRaw(c.oid, raw), nil
}

func sumRaw(oid uint32, raw []byte) uint64 {
	if oid == pgtype.JSONBOID && len(raw) > 0 { // the first byte is jsonb's version
		if sum, ok := sumJSON(raw[1:]); ok {
			return sum
		}
	}
	if raw == nil {
		return 0
	}
	return maphash.Bytes(seed, raw)
}

// What JSON is made of has sums of different kinds.
const (
	ofObject = 0x9e3779b97f4a7c15 + iota
	ofMember
	ofArray
	ofText
	ofWord
)

// mix is a product of 128 bits folded to 64, as in wyhash.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db)
	return hi ^ lo
}

// sumJSON is the same for all ways to write one value: members in any order, with any blanks and escapes. Numbers are
// compared as written. No object has a name twice: neither encoding/json nor jsonb writes such.
func sumJSON(text []byte) (sum uint64, ok bool) {
	r := jsonReader{text: text}
	sum = r.value()
	r.blanks()
	return sum, !r.broken && r.at == len(text)
}

type jsonReader struct {
	text   []byte
	at     int
	deep   int
	broken bool
}

const deepest = 1000

func (r *jsonReader) blanks() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\n' || r.text[r.at] == '\t' || r.text[r.at] == '\r') {
		r.at++
	}
}

// next is the byte that is next, after blanks; 0 at the end.
func (r *jsonReader) next() byte {
	r.blanks()
	if r.at == len(r.text) || r.broken {
		r.broken = true
		return 0
	}
	return r.text[r.at]
}

func (r *jsonReader) value() uint64 {
	if r.deep > deepest {
		r.broken = true
	}
	switch r.next() {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		return r.string()
	default:
		return r.word()
	}
}

func (r *jsonReader) object() uint64 {
	sum, n := uint64(0), uint64(0)
	for r.more('}', n) {
		name := r.string()
		if r.next() != ':' {
			r.broken = true
			return 0
		}
		r.at++
		sum, n = sum+mix(mix(name, ofMember), r.value()), n+1
	}
	return mix(mix(sum, n), ofObject)
}

func (r *jsonReader) array() uint64 {
	sum, n := uint64(0), uint64(0)
	for r.more(']', n) {
		sum, n = mix(sum, r.value()), n+1
	}
	return mix(mix(sum, n), ofArray)
}

// more goes to the next of what is between brackets, n having been read, or past the end.
func (r *jsonReader) more(end byte, n uint64) bool {
	if n == 0 {
		r.at++
		r.deep++
	}
	switch c := r.next(); {
	case r.broken:
		return false
	case c == end:
		r.at++
		r.deep--
		return false
	case n == 0:
		return true
	case c == ',':
		r.at++
		return true
	}
	r.broken = true
	return false
}

func (r *jsonReader) string() uint64 {
	if r.next() != '"' {
		r.broken = true
		return 0
	}
	escaped := false
	for end := r.at + 1; end < len(r.text); end++ {
		switch r.text[end] {
		case '\\':
			escaped = true
			end++
		case '"':
			token := r.text[r.at : end+1]
			r.at = end + 1
			if !escaped {
				return mix(maphash.Bytes(seed, token[1:len(token)-1]), ofText)
			}
			var s string
			if json.Unmarshal(token, &s) != nil {
				r.broken = true
			}
			return mix(maphash.String(seed, s), ofText)
		}
	}
	r.broken = true
	return 0
}

// word is a number, true, false or null.
func (r *jsonReader) word() uint64 {
	end := r.at
	for end < len(r.text) && strings.IndexByte(" \n\t\r,:]}[{\"", r.text[end]) < 0 {
		end++
	}
	token := r.text[r.at:end]
	r.broken = r.broken || len(token) == 0
	r.at = end
	return mix(maphash.Bytes(seed, token), ofWord)
}

// canonical is the one form of what JSON can be written in many.
func canonical(oid uint32, raw []byte) []byte {
	if oid != pgtype.JSONBOID || len(raw) == 0 {
		return raw
	}
	d := json.NewDecoder(bytes.NewReader(raw[1:])) // the first byte is jsonb's version
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return raw
	}
	b, err := json.Marshal(v)
	if err != nil {
		return raw
	}
	return b
}

func deref(pointer any) any { return reflect.ValueOf(pointer).Elem().Interface() }
