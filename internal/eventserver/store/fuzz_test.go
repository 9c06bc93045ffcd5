package store

import (
	"bytes"
	"testing"
)

// FuzzDecodeRecord: whatever lies on the disk, decoding neither panics nor reads beyond it; what the checksum covers comes
// back as it was written.
func FuzzDecodeRecord(f *testing.F) {
	e := &Event{ID: newID(), Type: "order.placed", JSON: true, Data: []byte(`{"n":1}`), Meta: []byte(`{}`)}
	f.Add(uint64(7), appendRecord(nil, 7, 3, 99, "order-1", e), true)
	f.Add(uint64(7), appendStub(nil, 7, 99), true)
	f.Add(uint64(0), []byte{}, false)
	f.Fuzz(func(t *testing.T, position uint64, b []byte, mend bool) {
		if mend && len(b) >= 4 { // let it get past the checksum
			b = bytes.Clone(b)
			sum := checksum(position, b[4:])
			b[0], b[1], b[2], b[3] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		var r Record
		if decodeRecord(position, b, &r) != nil || r.Stream == nil {
			return
		}
		if n := len(r.Stream) + len(r.Type) + len(r.Meta) + len(r.Data); n > len(b) {
			t.Errorf("%d bytes out of %d", n, len(b))
		}
		again := Event{ID: r.ID, Type: string(r.Type), JSON: r.JSON, Data: r.Data, Meta: r.Meta}
		var r2 Record
		if err := decodeRecord(position, appendRecord(nil, position, r.Revision, r.Created, string(r.Stream), &again), &r2); err != nil || recordText(&r2) != recordText(&r) {
			t.Errorf("%v: %s, want %s", err, recordText(&r2), recordText(&r))
		}
	})
}

// FuzzMetadata: a stream's metadata is whatever a client wrote.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{"", "null", `{"$maxCount":5,"$maxAge":60,"$tb":9}`, `{"$maxCount":-1,"$maxAge":1e400}`, `{"$tb":9223372036854775807}`, `[1]`, `{"$maxAge":9223372036854775807}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if l := parseLimits(true, b); l.MaxCount < 0 || l.MaxAge < 0 || l.TruncateBefore < 0 {
			t.Errorf("limits %+v", l)
		}
	})
}

func FuzzDecodeHead(f *testing.F) {
	h := head{last: 5, pos: 9, first: 2, metaPos: 4, meta: Limits{MaxCount: 3}}
	f.Add("s", h.encode(nil, "s"), true)
	f.Add("", []byte{1, 2, 3, 4, 1, 1}, true)
	f.Fuzz(func(t *testing.T, stream string, b []byte, mend bool) {
		if mend && len(b) >= 4 {
			b = bytes.Clone(b)
			sum := headChecksum(stream, b[4:])
			b[0], b[1], b[2], b[3] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		got, err := decodeHead(stream, b)
		if err != nil {
			return
		}
		if again, err := decodeHead(stream, got.encode(nil, stream)); err != nil || again != got {
			t.Errorf("%+v %v, want %+v", again, err, got)
		}
	})
}
