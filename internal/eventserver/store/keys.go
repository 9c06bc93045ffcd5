package store

import "encoding/binary"

// The key space. Numbers are big-endian, so that pebble's order is theirs.
//
//	a position            → record
//	s len(stream) stream revision → position
//	h stream              → head
//	i len(stream) stream event id → position of the newest event, up to the revision that the head names
//	m name                → the directory's own facts
const (
	prefixAll    = 'a'
	prefixStream = 's'
	prefixHead   = 'h'
	prefixID     = 'i'
	prefixMeta   = 'm'
)

func allKey(dst []byte, position uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefixAll), position)
}

// streamPrefix carries the name's length, so that no stream's keys lie among another's.
func streamPrefix(dst []byte, prefix byte, stream string) []byte {
	dst = binary.AppendUvarint(append(dst, prefix), uint64(len(stream)))
	return append(dst, stream...)
}

func streamKey(dst []byte, stream string, revision uint64) []byte {
	return binary.BigEndian.AppendUint64(streamPrefix(dst, prefixStream, stream), revision)
}

func headKey(dst []byte, stream string) []byte { return append(append(dst, prefixHead), stream...) }

func idKey(dst []byte, stream string, id ID) []byte {
	return append(streamPrefix(dst, prefixID, stream), id[:]...)
}

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }
