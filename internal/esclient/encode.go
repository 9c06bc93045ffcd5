package esclient

import (
	"encoding/binary"
	"slices"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/daybook-dev/daybook/kit/es"
)

// The hot messages are written and read by hand, as streams.proto and shared.proto of the official client's module have
// them (BatchAppendReq, BatchAppendResp, UUID, StreamIdentifier): the generated code costs half again of an append.
// Fuzz tests hold both to each other.

const (
	reqCorrelation, reqOptions, reqProposed, reqFinal = 1, 2, 3, 4
	optStream, optPosition, optNoStream, optDeadline  = 1, 2, 3, 7
	msgID, msgMetadata, msgCustom, msgData            = 1, 2, 3, 4
	uuidStructured, uuidString                        = 1, 2
	identifierName                                    = 3

	maxFrame = 512 << 10 // bytes; a larger append goes out in several frames
)

// frame is one BatchAppendReq: what is made anew each time it is sent, and what stays.
type frame struct{ head, body []byte }

// encode encodes the proposed events, in as many frames as it takes. Their caller may use the events' bytes again.
func (c *call) encode(events []es.Proposed) {
	size := 2
	for i := range events {
		size += events[i].Size() + 96
	}
	c.buffer = slices.Grow(c.buffer[:0], min(size, maxFrame))
	b := c.buffer
	for i := range events {
		if len(b) > 0 && len(b)+events[i].Size() > maxFrame {
			c.bodies = append(c.bodies, b)
			b = make([]byte, 0, min(size, maxFrame))
		}
		b = appendProposed(b, &events[i])
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, reqFinal, protowire.VarintType), 1)
	c.bodies = append(c.bodies, b)
}

// encoded is the call's frames as they go out in an epoch, with so much time left.
func (c *call) encoded(epoch uint64, left time.Duration) []*frame {
	c.head = head(c.head[:0], epoch, c.sequence, c.stream, c.at, left, true)
	if len(c.frames) > 0 {
		c.frames = c.frames[:1]
		*c.frames[0] = frame{c.head, c.bodies[0]}
	} else {
		c.frames = append(c.frames, &frame{c.head, c.bodies[0]})
	}
	for _, b := range c.bodies[1:] {
		c.frames = append(c.frames, &frame{head(nil, epoch, c.sequence, c.stream, c.at, left, false), b})
	}
	return c.frames
}

func appendProposed(b []byte, e *es.Proposed) []byte {
	const contentType, json, typ = "content-type", "application/json", "type"
	id := sizeUUID(e.ID)
	typeEntry, contentEntry := sizeEntry(len(typ), len(e.Type)), sizeEntry(len(contentType), len(json))
	size := sizeField(id) + sizeField(typeEntry) + sizeField(contentEntry) + sizeField(len(e.Meta)) + sizeField(len(e.Data))
	b = appendLen(b, reqProposed, size)
	b = appendUUID(appendLen(b, msgID, id), e.ID)
	b = appendEntry(appendLen(b, msgMetadata, typeEntry), typ, e.Type)
	b = appendEntry(appendLen(b, msgMetadata, contentEntry), contentType, json)
	b = append(appendLen(b, msgCustom, len(e.Meta)), e.Meta...)
	return append(appendLen(b, msgData, len(e.Data)), e.Data...)
}

// head encodes behind b what leads a frame: whose it is and, on the first one, where its events go and until when.
func head(b []byte, epoch, sequence uint64, stream string, at es.Expected, left time.Duration, first bool) []byte {
	b = slices.Grow(b, 88+len(stream))
	c := correlation(epoch, sequence)
	b = appendUUID(appendLen(b, reqCorrelation, sizeUUID(c)), c)
	if !first {
		return b
	}
	seconds, nanos := uint64(left/time.Second), uint64(left%time.Second) //nolint:gosec // not negative
	deadline := sizeNumber(seconds) + sizeNumber(nanos)
	size := sizeField(sizeField(len(stream))) + sizeField(deadline)
	if at == es.NoStream {
		size += sizeField(0)
	} else {
		size += 1 + protowire.SizeVarint(uint64(at)) //nolint:gosec // not negative
	}
	b = appendLen(b, reqOptions, size)
	b = appendLen(b, optStream, sizeField(len(stream)))
	b = append(appendLen(b, identifierName, len(stream)), stream...)
	if at == es.NoStream {
		b = appendLen(b, optNoStream, 0)
	} else {
		b = protowire.AppendVarint(protowire.AppendTag(b, optPosition, protowire.VarintType), uint64(at)) //nolint:gosec // not negative
	}
	return appendNumber(appendNumber(appendLen(b, optDeadline, deadline), 1, seconds), 2, nanos)
}

// sizeNumber is a varint field's size; there is none for 0.
func sizeNumber(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// correlation is the id by which an answer finds its call.
func correlation(epoch, sequence uint64) (u es.UUID) {
	binary.BigEndian.PutUint64(u[:8], epoch)
	binary.BigEndian.PutUint64(u[8:], sequence)
	return u
}

func appendLen(b []byte, field protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(n)) //nolint:gosec // a length
}

// sizeField is a length-delimited field's size; all our field numbers take one byte.
func sizeField(n int) int { return 1 + protowire.SizeBytes(n) }

func sizeUUID(u es.UUID) int { return sizeField(sizeStructured(u)) }

func sizeStructured(u es.UUID) int {
	return 2 + protowire.SizeVarint(binary.BigEndian.Uint64(u[:8])) + protowire.SizeVarint(binary.BigEndian.Uint64(u[8:]))
}

func appendUUID(b []byte, u es.UUID) []byte {
	b = appendLen(b, uuidStructured, sizeStructured(u))
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), binary.BigEndian.Uint64(u[:8]))
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), binary.BigEndian.Uint64(u[8:]))
}

func sizeEntry(key, value int) int { return sizeField(key) + sizeField(value) }

func appendEntry(b []byte, key, value string) []byte {
	b = append(appendLen(b, 1, len(key)), key...)
	return append(appendLen(b, 2, len(value)), value...)
}

// codec sends frames and receives answers and events. To servers it is the usual protobuf.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f.head), mem.SliceBuffer(f.body)}, nil
	}
	b, err := proto.Marshal(v.(proto.Message)) //nolint:forcetypeassert // generated messages
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m := v.(interface{ decode(message []byte) error }) //nolint:forcetypeassert // the pool has no others
	if len(data) == 1 {
		return m.decode(data[0].ReadOnlyData())
	}
	return m.decode(data.Materialize())
}
