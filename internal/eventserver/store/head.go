package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// head is what the store knows of one stream: where it ends and what its metadata stream says.
type head struct {
	last    int64  // revision of the newest event, noRevision if there is none
	pos     uint64 // its position
	first   int64  // the lowest revision still kept; those below were scavenged
	named   int64  // the index of ids has the events below this revision
	dead    bool   // ended by a tombstone
	metaPos uint64 // position of the metadata event in force, 0 if none
	meta    Limits
}

const noRevision = -1

// newest is the highest position that this head rests on.
func (h *head) newest() uint64 { return max(h.pos, h.metaPos) }

func (h *head) softDeleted() bool { return h.meta.TruncateBefore == math.MaxInt64 }

// showing is what readers of a stream see: its events from one revision on that are not too old. Events come in the order of their
// times, so what is hidden always lies below what is shown.
type showing struct {
	first  int64 // revision
	oldest int64 // created time, in ticks
}

func (h *head) showing(now time.Time) showing {
	v := showing{first: max(h.first, h.meta.TruncateBefore), oldest: math.MinInt64}
	if h.meta.MaxCount > 0 {
		v.first = max(v.first, h.last-h.meta.MaxCount+1)
	}
	if h.meta.MaxAge > 0 {
		v.oldest = now.Add(-h.meta.MaxAge).UnixNano() / 100
	}
	return v
}

const softDeletedMark = math.MaxInt64

// metadataOf gives the stream that a metadata stream describes.
func metadataOf(stream string) (string, bool) {
	if strings.HasPrefix(stream, "$$") && len(stream) > 2 {
		return stream[2:], true
	}
	return "", false
}

const headVersion = 1

func (h *head) encode(dst []byte, stream string) []byte {
	start := len(dst)
	dead := byte(0)
	if h.dead {
		dead = 1
	}
	dst = append(dst, 0, 0, 0, 0, headVersion, dead)
	for _, v := range []int64{h.last, int64(h.pos), h.first, int64(h.metaPos), h.meta.MaxCount, int64(h.meta.MaxAge), h.meta.TruncateBefore, h.named} {
		dst = binary.AppendVarint(dst, v)
	}
	binary.BigEndian.PutUint32(dst[start:], headChecksum(stream, dst[start+4:]))
	return dst
}

func headChecksum(stream string, b []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(stream), castagnoli), castagnoli, b)
}

func decodeHead(stream string, b []byte) (head, error) {
	h := head{last: noRevision}
	if len(b) < 6 || binary.BigEndian.Uint32(b) != headChecksum(stream, b[4:]) {
		return h, fmt.Errorf("head of stream %q: %w: checksum does not fit", stream, ErrCorrupt)
	}
	if b[4] != headVersion {
		return h, fmt.Errorf("head of stream %q has version %d, which this program does not know", stream, b[4])
	}
	h.dead = b[5] == 1
	b = b[6:]
	var v [8]int64
	for i := range v {
		if i == len(v)-1 && len(b) == 0 {
			break // written before events were found by their ids: none is in the index
		}
		x, n := binary.Varint(b)
		if n <= 0 {
			return h, fmt.Errorf("head of stream %q: %w: cut short", stream, ErrCorrupt)
		}
		v[i], b = x, b[n:]
	}
	h.last, h.pos, h.first, h.metaPos = v[0], uint64(v[1]), v[2], uint64(v[3])
	h.meta, h.named = Limits{MaxCount: v[4], MaxAge: time.Duration(v[5]), TruncateBefore: v[6]}, v[7]
	return h, nil
}

// loadHead reads a head as pebble has it, which may be ahead of what is synced. A stream never written has
// an empty one.
func (s *Store) loadHead(stream string) (head, error) {
	v, closer, err := s.db.Get(headKey(nil, stream))
	if errors.Is(err, pebble.ErrNotFound) {
		h := head{last: noRevision}
		if _, isMeta := metadataOf(stream); isMeta {
			h.meta.MaxCount = 1
		}
		return h, nil
	}
	if err != nil {
		return head{}, fmt.Errorf("read head of stream %q: %w", stream, err)
	}
	defer closer.Close()
	return decodeHead(stream, v)
}
