// Package protofields walks the fields of a protobuf message that is read by hand: where generated code costs too much, or is not there.
package protofields

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed says that a message is not protobuf as far as it goes.
var ErrMalformed = errors.New("message is cut short or malformed")

// Each calls f with every field of a message in order: the bytes of a length-delimited one, the number of a varint, and neither for other
// kinds. A field is known by number and kind together: a known number of another kind is an unknown field, as in generated code. What f
// returns ends the walk. The bytes are the message's own.
func Each(b []byte, f func(num protowire.Number, typ protowire.Type, v []byte, n uint64) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num > protowire.MaxValidNumber {
			return ErrMalformed
		}
		b = b[n:]
		var (
			bytes  []byte
			number uint64
		)
		switch typ {
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		if err := f(num, typ, bytes, number); err != nil {
			return err
		}
	}
	return nil
}
