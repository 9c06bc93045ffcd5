package esclient

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/protofields"
	"github.com/daybook-dev/daybook/kit/es"
)

// answer is a BatchAppendResp.
type answer struct {
	epoch, sequence uint64
	success         bool
	position        uint64 // 0: the server does not say
	code            codes.Code
	message         string
	detail          string // type of the error's detail, without its package
}

// failed is one field that is not as the protocol has it.
func failed(what string) error { return fmt.Errorf("answer to an append: malformed %s", what) }

func (a *answer) decode(b []byte) error {
	*a = answer{}
	var id wireID
	if err := fields(b, "message", func(f uint64, v []byte, _ uint64) (err error) {
		switch f {
		case 1<<3 | asBytes:
			err = id.decode(v)
		case 2<<3 | asBytes:
			a.success = false
			err = a.decodeError(v)
		case 3<<3 | asBytes:
			a.success = true
			err = a.decodeSuccess(v)
		}
		return err
	}); err != nil {
		return err
	}
	u, err := id.value()
	a.epoch, a.sequence = binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	return err
}

func (a *answer) decodeSuccess(b []byte) error {
	return fields(b, "success", func(f uint64, v []byte, _ uint64) error {
		if f != 3<<3|asBytes {
			return nil
		}
		return fields(v, "position", func(f uint64, _ []byte, n uint64) error {
			if f == 1<<3|asVarint {
				a.position = n
			}
			return nil
		})
	})
}

// decodeError reads a google.rpc.Status.
func (a *answer) decodeError(b []byte) error {
	return fields(b, "error", func(f uint64, v []byte, n uint64) error {
		switch f {
		case 1<<3 | asVarint:
			a.code = codes.Code(n) //nolint:gosec // codes are small; any other is as unknown as a wrong one
		case 2<<3 | asBytes:
			a.message = string(v)
		case 3<<3 | asBytes:
			return fields(v, "detail", func(f uint64, v []byte, _ uint64) error {
				if f == 1<<3|asBytes {
					a.detail = string(v)
					a.detail = a.detail[strings.LastIndexAny(a.detail, "./")+1:]
				}
				return nil
			})
		}
		return nil
	})
}

// wireID is event_store.client.UUID. It may come in pieces; only its last form counts.
type wireID struct {
	bits    es.UUID
	text    string
	textual bool
}

func (id *wireID) decode(b []byte) error {
	return fields(b, "id", func(f uint64, v []byte, _ uint64) error {
		switch f {
		case uuidStructured<<3 | asBytes:
			if id.textual {
				*id = wireID{}
			}
			return fields(v, "id", func(f uint64, _ []byte, n uint64) error {
				switch f {
				case 1<<3 | asVarint:
					binary.BigEndian.PutUint64(id.bits[:8], n)
				case 2<<3 | asVarint:
					binary.BigEndian.PutUint64(id.bits[8:], n)
				}
				return nil
			})
		case uuidString<<3 | asBytes:
			*id = wireID{text: string(v), textual: true}
		}
		return nil
	})
}

func (id *wireID) value() (es.UUID, error) {
	if id.textual {
		return es.ParseUUID(id.text)
	}
	return id.bits, nil
}

// A field is known by its number and by how it is written: the wrong kind of a known number is an unknown field.
const (
	asVarint = uint64(protowire.VarintType)
	asBytes  = uint64(protowire.BytesType)
)

// fields calls each with every varint and every length-delimited field of a message. Fields of other kinds are not used here.
func fields(b []byte, what string, each func(field uint64, v []byte, n uint64) error) error {
	err := protofields.Each(b, func(num protowire.Number, typ protowire.Type, v []byte, n uint64) error {
		if typ != protowire.BytesType && typ != protowire.VarintType {
			return nil
		}
		return each(protowire.EncodeTag(num, typ), v, n)
	})
	if errors.Is(err, protofields.ErrMalformed) {
		return failed(what)
	}
	return err
}
