package esclient

import (
	"encoding/binary"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/daybook-dev/daybook/internal/es"
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

// bodies encodes the proposed events, in as many frames as it takes. The caller may use the events' bytes again.
func bodies(events []es.Proposed) [][]byte {
	size := 2
	for i := range events {
		size += events[i].Size() + 96
	}
	var out [][]byte
	b := make([]byte, 0, min(size, maxFrame))
	for i := range events {
		if len(b) > 0 && len(b)+events[i].Size() > maxFrame {
			out = append(out, b)
			b = make([]byte, 0, min(size, maxFrame))
		}
		b = appendProposed(b, &events[i])
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, reqFinal, protowire.VarintType), 1)
	return append(out, b)
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

// head encodes what leads a frame: whose it is and, on the first one, where its events go and until when.
func head(epoch, sequence uint64, stream string, at es.Expected, left time.Duration, first bool) []byte {
	b := make([]byte, 0, 80+len(stream))
	c := correlation(epoch, sequence)
	b = appendUUID(appendLen(b, reqCorrelation, sizeUUID(c)), c)
	if !first {
		return b
	}
	o := make([]byte, 0, 48+len(stream))
	o = appendLen(o, optStream, sizeField(len(stream)))
	o = append(appendLen(o, identifierName, len(stream)), stream...)
	if at == es.NoStream {
		o = appendLen(o, optNoStream, 0)
	} else {
		o = protowire.AppendVarint(protowire.AppendTag(o, optPosition, protowire.VarintType), uint64(at)) //nolint:gosec // not negative
	}
	var d []byte
	if s := uint64(left / time.Second); s > 0 { //nolint:gosec // not negative
		d = protowire.AppendVarint(protowire.AppendTag(d, 1, protowire.VarintType), s)
	}
	if n := uint64(left % time.Second); n > 0 { //nolint:gosec // not negative
		d = protowire.AppendVarint(protowire.AppendTag(d, 2, protowire.VarintType), n)
	}
	o = append(appendLen(o, optDeadline, len(d)), d...)
	return append(appendLen(b, reqOptions, len(o)), o...)
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
