package es

import (
	"fmt"
	"strconv"
	"strings"
)

// StreamID names a stream: "order-O", or "shipment-O.1" for the first shipment of order O.
// A category has no '-'; a stream that does not follow this form has no category and its whole name as key.
type StreamID struct {
	Category string
	Key      string // as people write it; escaped only in the name
	N        int    // 0: none
}

// String is the stream's name in the store. Bytes of the key outside [A-Za-z0-9_-] are written ~HH, so a dot
// only ever begins the number.
func (s StreamID) String() string {
	if s.Category == "" {
		return s.Key
	}
	name := s.Category + "-" + escape(s.Key)
	if s.N > 0 {
		name += "." + strconv.Itoa(s.N)
	}
	return name
}

// Partition is what keeps everything about one order in order through Kafka: the escaped key without the number.
func (s StreamID) Partition() string {
	if s.Category == "" {
		return s.Key
	}
	return escape(s.Key)
}

// ParseStreamID reads a name that String wrote.
func ParseStreamID(name string) (StreamID, error) {
	s := AnyStreamID(name)
	if s.Category == "" {
		return StreamID{}, fmt.Errorf("stream name %q is not <category>-<key>", name)
	}
	return s, nil
}

// AnyStreamID is ParseStreamID for a log that others may write to: a name of another form becomes a StreamID
// without category, whose String is that name again.
func AnyStreamID(name string) StreamID {
	foreign := StreamID{Key: name}
	category, rest, ok := strings.Cut(name, "-")
	if !ok || category == "" || rest == "" {
		return foreign
	}
	s := StreamID{Category: category, Key: rest}
	if key, n, dotted := strings.Cut(rest, "."); dotted {
		number, err := strconv.Atoi(n)
		if err != nil || number < 1 {
			return foreign
		}
		s.Key, s.N = key, number
	}
	if strings.IndexByte(s.Key, '~') >= 0 {
		key, ok := unescape(s.Key)
		if !ok {
			return foreign
		}
		s.Key = key
	}
	if s.String() != name {
		return foreign
	}
	return s
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func escape(key string) string {
	for i := range len(key) {
		if !plain(key[i]) {
			return escapeFrom(key, i)
		}
	}
	return key
}

func escapeFrom(key string, i int) string {
	const hex = "0123456789ABCDEF"
	b := append(make([]byte, 0, len(key)+8), key[:i]...)
	for ; i < len(key); i++ {
		if c := key[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '~', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func unescape(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '~' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b, i = append(b, byte(c)), i+2
	}
	return string(b), true
}
