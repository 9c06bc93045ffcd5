// Package kafkareadtest makes record batches that anybody who may write to a topic can put there, and that do not add up.
package kafkareadtest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"
)

// Header of a record.
type Header struct{ Key, Value string }

// Record encodes a record with its length; headers is how many it says it has.
func Record(delta int64, key, value string, headers int64, all ...Header) []byte {
	text := func(b []byte, s string) []byte { return append(binary.AppendVarint(b, int64(len(s))), s...) }
	body := binary.AppendVarint(binary.AppendVarint([]byte{0}, 0), delta)
	body = text(text(body, key), value)
	body = binary.AppendVarint(body, headers)
	for _, h := range all {
		body = text(text(body, h.Key), h.Value)
	}
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// Batch encodes a batch of format 2 that says it has n records, with the right length and checksum.
func Batch(attributes uint16, n uint32, records []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, 0)                    // first offset
	b = binary.BigEndian.AppendUint32(b, uint32(49+len(records))) //nolint:gosec // short
	b = append(b, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0)          // leader's epoch, format, checksum
	b = binary.BigEndian.AppendUint16(b, attributes)              //
	b = binary.BigEndian.AppendUint32(b, n-1)                     // the last offset's delta
	b = append(b, make([]byte, 16)...)                            // times
	b = append(b, bytes.Repeat([]byte{0xff}, 14)...)              // producer
	b = append(binary.BigEndian.AppendUint32(b, n), records...)
	return Sum(b)
}

// Sum puts the checksum into a batch.
func Sum(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// Broken is batches that do not add up, or may not be read, by name. Their lengths and checksums are right: a broker that looks no
// further takes them.
func Broken(tb testing.TB) map[string][]byte {
	tb.Helper()
	good := Record(0, "k", "v", 1, Header{"a", "b"})
	one := func(r []byte) []byte { return Batch(0, 1, r) }
	size := func(n int64, rest ...byte) []byte { return append(binary.AppendVarint(nil, n), rest...) }
	sized := func(body []byte) []byte { return append(size(int64(len(body))), body...) }
	head := []byte{0, 0, 0} // attributes and two deltas
	big := binary.AppendVarint(nil, 1<<40)
	const gzipped, snappied, zstandard = 1, 2, 4
	return map[string][]byte{
		"a billion headers":                one(Record(0, "k", "v", 1<<30, Header{"a", "b"})),
		"more headers than there are":      one(Record(0, "k", "v", 1<<62)),
		"less than no headers":             one(Record(0, "k", "v", -1)),
		"a header left over":               one(Record(0, "k", "v", 0, Header{"a", "b"})),
		"a record of a terabyte":           one(size(1<<40, 0)),
		"a record of less than nothing":    one(size(-5, 0, 0, 0, 0, 0, 0)),
		"a key of a terabyte":              one(sized(append(bytes.Clone(head), append(bytes.Clone(big), 1, 0)...))),
		"a key of less than nothing":       one(sized(append(bytes.Clone(head), 0x13, 1, 0))),
		"a value of a terabyte":            one(sized(append(append(bytes.Clone(head), 1), append(bytes.Clone(big), 0)...))),
		"a header's key of a terabyte":     one(sized(append(append(bytes.Clone(head), 1, 1, 2), big...))),
		"a header's key that is null":      one(sized(append(bytes.Clone(head), 1, 1, 2, 1, 1))),
		"a header's value of a terabyte":   one(sized(append(append(bytes.Clone(head), 1, 1, 2, 2, 'a'), big...))),
		"a number without an end":          one(bytes.Repeat([]byte{0xff}, 20)),
		"an offset far away":               one(Record(1<<40, "k", "v", 0)),
		"an offset before the batch":       one(Record(-3, "k", "v", 0)),
		"an offset twice":                  Batch(0, 2, append(bytes.Clone(good), good...)),
		"fewer records than it says":       Batch(0, 2, append(bytes.Clone(good), make([]byte, 20)...)),
		"more records than it says":        Batch(0, 1, append(bytes.Clone(good), good...)),
		"two billion records":              Batch(0, 1<<31-1, good),
		"zeros":                            one(make([]byte, 20)),
		"256 MiB of zeros, gzip":           Batch(gzipped, 1, bomb(tb, 256<<20)),
		"gzip that is none":                Batch(gzipped, 1, []byte("no gzip at all, and long enough")),
		"snappy with a block of gigabytes": Batch(snappied, 1, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xff\x00")),
		"snappy of gigabytes":              Batch(snappied, 1, []byte("\xff\xff\xff\xff\x07\x00\x00")),
		"zstd with a window of gigabytes":  Batch(zstandard, 1, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x98, 0x01, 0x00, 0x00, 0, 0, 0, 0}),
	}
}

// bomb is n zeros, compressed.
func bomb(tb testing.TB, n int64) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, zeros{}, n); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
