package wire

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that takes all other messages
	"google.golang.org/grpc/mem"
)

// Encoder is a message that knows its own encoding.
type Encoder interface {
	Size() int
	// AppendTo writes exactly Size bytes behind dst.
	AppendTo(dst []byte) []byte
}

// Decoder is a message that knows its own decoding; it may keep slices of b.
type Decoder interface {
	Decode(b []byte) error
}

// Codec is a gRPC codec for a server or a client: messages that encode themselves do so, the rest goes through the
// generated code.
type Codec struct{ proto encoding.CodecV2 }

// NewCodec gives the codec to pass to grpc.ForceServerCodecV2 or grpc.ForceCodecV2.
func NewCodec() Codec { return Codec{encoding.GetCodecV2("proto")} }

// Name implements encoding.CodecV2.
func (Codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case Encoder:
		n := m.Size()
		if mem.IsBelowBufferPoolingThreshold(n) {
			return mem.BufferSlice{mem.SliceBuffer(m.AppendTo(make([]byte, 0, n)))}, nil
		}
		pool := mem.DefaultBufferPool()
		b := pool.Get(n)
		*b = m.AppendTo((*b)[:0])
		return mem.BufferSlice{mem.NewBuffer(b, pool)}, nil
	case Ready:
		return mem.BufferSlice{m.buf}, nil
	}
	return c.proto.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	d, ok := v.(Decoder)
	if !ok {
		return c.proto.Unmarshal(data, v)
	}
	if err := d.Decode(data.Materialize()); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

// Ready is an encoded message. It must be sent once, or freed.
type Ready struct{ buf mem.Buffer }

// Prepare encodes a message whose parts may not outlive the call.
func Prepare(m Encoder) Ready {
	n := m.Size()
	if mem.IsBelowBufferPoolingThreshold(n) {
		return Ready{mem.SliceBuffer(m.AppendTo(make([]byte, 0, n)))}
	}
	pool := mem.DefaultBufferPool()
	b := pool.Get(n)
	*b = m.AppendTo((*b)[:0])
	return Ready{mem.NewBuffer(b, pool)}
}

// Len is the encoded length in bytes.
func (r Ready) Len() int { return r.buf.Len() }

// Free gives the memory of a message back that is not going to be sent.
func (r Ready) Free() { r.buf.Free() }
