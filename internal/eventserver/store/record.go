package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// ID is an event's id as the client chose it.
type ID [16]byte

// Event is an event about to be appended.
type Event struct {
	ID   ID
	Type string
	JSON bool // content type application/json, else application/octet-stream
	Data []byte
	Meta []byte
}

// Size is what the event counts towards the append limit, in bytes.
func (e *Event) Size() int { return len(e.Type) + len(e.Data) + len(e.Meta) }

// Record is a stored event. Its slices belong to the store and are valid only until the visit they were handed
// to returns.
type Record struct {
	Position uint64 // in the log, from 1
	Revision uint64 // in its stream, from 0; TombstoneRevision for a tombstone
	Created  int64  // ticks of 100 ns since 1970, never going back along the log
	ID       ID
	JSON     bool
	Stream   []byte
	Type     []byte
	Data     []byte
	Meta     []byte
}

// TombstoneRevision is the revision EventStoreDB gives to the event that ends a stream finally.
const TombstoneRevision = math.MaxInt64

const (
	recordVersion = 1
	scavenged     = 2 // what is left of a record that a scavenge took: its place and when it was created
	flagJSON      = 1
	recordFixed   = 4 + 1 + 1 + 8 + 16 // checksum, version, flags, created, id
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord encodes a record behind dst. The checksum covers the position too, so that a record under another
// record's key is found out.
func appendRecord(dst []byte, position, revision uint64, created int64, stream string, e *Event) []byte {
	start := len(dst)
	var flags byte
	if e.JSON {
		flags |= flagJSON
	}
	dst = append(dst, 0, 0, 0, 0, recordVersion, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(created))
	dst = append(dst, e.ID[:]...)
	dst = binary.AppendUvarint(dst, revision)
	dst = binary.AppendUvarint(dst, uint64(len(stream)))
	dst = append(dst, stream...)
	dst = binary.AppendUvarint(dst, uint64(len(e.Type)))
	dst = append(dst, e.Type...)
	dst = binary.AppendUvarint(dst, uint64(len(e.Meta)))
	dst = append(dst, e.Meta...)
	dst = append(dst, e.Data...)
	binary.BigEndian.PutUint32(dst[start:], checksum(position, dst[start+4:]))
	return dst
}

func checksum(position uint64, b []byte) uint32 {
	var p [8]byte
	binary.BigEndian.PutUint64(p[:], position)
	return crc32.Update(crc32.Update(0, castagnoli, p[:]), castagnoli, b)
}

// appendStub encodes what keeps a scavenged record's place.
func appendStub(dst []byte, position uint64, created int64) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, scavenged, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(created))
	dst = append(dst, make([]byte, recordFixed-(len(dst)-start))...)
	binary.BigEndian.PutUint32(dst[start:], checksum(position, dst[start+4:]))
	return dst
}

// decodeRecord fills r with slices of value, after the checksum has been verified. A scavenged record has no stream.
func decodeRecord(position uint64, value []byte, r *Record) error {
	if len(value) < recordFixed {
		return fmt.Errorf("record at position %d is only %d bytes long", position, len(value))
	}
	if got, want := checksum(position, value[4:]), binary.BigEndian.Uint32(value); got != want {
		return fmt.Errorf("record at position %d: checksum is %08x, stored is %08x", position, got, want)
	}
	if value[4] == scavenged {
		*r = Record{Position: position, Created: int64(binary.BigEndian.Uint64(value[6:]))}
		return nil
	}
	if value[4] != recordVersion {
		return fmt.Errorf("record at position %d has version %d, which this program does not know", position, value[4])
	}
	r.Position = position
	r.JSON = value[5]&flagJSON != 0
	r.Created = int64(binary.BigEndian.Uint64(value[6:]))
	copy(r.ID[:], value[14:])
	rest := value[recordFixed:]
	var ok bool
	if r.Revision, rest, ok = takeUvarint(rest); ok {
		if r.Stream, rest, ok = takeBytes(rest); ok {
			if r.Type, rest, ok = takeBytes(rest); ok {
				r.Meta, rest, ok = takeBytes(rest)
			}
		}
	}
	if !ok {
		return fmt.Errorf("record at position %d is cut short", position)
	}
	r.Data = rest
	return nil
}

func takeUvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

func takeBytes(b []byte) (field, rest []byte, ok bool) {
	n, b, ok := takeUvarint(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// Clone copies a record so that it may be kept.
func (r *Record) Clone() *Record {
	c := *r
	c.Stream = append([]byte(nil), r.Stream...)
	c.Type = append([]byte(nil), r.Type...)
	c.Data = append([]byte(nil), r.Data...)
	c.Meta = append([]byte(nil), r.Meta...)
	return &c
}
