package eventserver

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/protofields"
)

// The services Users and Operations are not among the client module's generated packages: their few messages are written by
// hand, after users.proto and operations.proto.

// fields visits the fields of a message: bytes for those that have a length, else a number.
func fields(b []byte, visit func(num protowire.Number, value []byte, number uint64) error) error {
	return protofields.Each(b, func(num protowire.Number, _ protowire.Type, v []byte, n uint64) error { return visit(num, v, n) })
}

// options is a request whose only field is a message of options, which are strings, the fourth repeated.
type options struct {
	text [4]string // by field number
	list []string
}

const (
	maxOptions = 64 << 10
	listField  = 4
)

// Decode implements wire.Decoder.
func (o *options) Decode(b []byte) error {
	if len(b) > maxOptions {
		return fmt.Errorf("the request has %d bytes, the limit is %d", len(b), maxOptions)
	}
	return fields(b, func(num protowire.Number, value []byte, _ uint64) error {
		if num != 1 {
			return nil
		}
		return fields(value, func(num protowire.Number, value []byte, _ uint64) error {
			switch {
			case num < listField:
				o.text[num] = string(value)
			case num == listField:
				o.list = append(o.list, string(value))
			}
			return nil
		})
	})
}

// raw is an answer, encoded.
type raw []byte

// Size implements wire.Encoder.
func (r raw) Size() int { return len(r) }

// AppendTo implements wire.Encoder.
func (r raw) AppendTo(dst []byte) []byte { return append(dst, r...) }

func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendNumber(b []byte, num protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), n)
}

func appendMessage(b []byte, num protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), m)
}
