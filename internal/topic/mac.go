package topic

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/segmentio/kafka-go"
)

// headerMAC is the signature of a message: "<key id>.<MAC>", 16 hexadecimal digits and an HMAC-SHA-256 in base64url without
// padding. The MAC covers, each preceded by its length as four bytes, big-endian, ffffffff for null:
//
//	"daybook-relay-1", topic, partition in decimal, key, value,
//	then name and value of every header ce_* but ce_mac itself, of content-type and of traceparent, sorted by name
//
// A name that comes twice fails. Other headers are neither covered nor read.
const headerMAC = "ce_mac"

const (
	macDomain  = "daybook-relay-1"
	idBytes    = 16
	stampBytes = idBytes + 1 + 43
	// maxCovered bounds the sorting of a message's headers. A relay writes fewer than 20.
	maxCovered = 64
)

// macKey is one key, with hashers that are used again.
type macKey struct {
	id      string
	hashers sync.Pool // of *hasher
}

type hasher struct {
	mac     hash.Hash
	buf     []byte
	covered []kafka.Header
	sum     [sha256.Size]byte
}

func newMacKey(secret []byte) *macKey {
	k := &macKey{id: keyID(secret)}
	k.hashers.New = func() any { return &hasher{mac: hmac.New(sha256.New, secret), buf: make([]byte, 0, 2048)} }
	return k
}

// keyID tells keys apart and says nothing of them.
func keyID(secret []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("daybook relay key id 1"))
	return hex.EncodeToString(h.Sum(nil)[:idBytes/2])
}

func (k *macKey) stamp(sum [sha256.Size]byte) []byte {
	out := append(make([]byte, 0, stampBytes), k.id...)
	return base64.RawURLEncoding.AppendEncode(append(out, '.'), sum[:])
}

func (k *macKey) verify(m kafka.Message, stamp []byte) error {
	sum, err := k.sum(m)
	if err != nil {
		return err
	}
	var encoded [stampBytes - idBytes - 1]byte
	base64.RawURLEncoding.Encode(encoded[:], sum[:])
	if !hmac.Equal(encoded[:], stamp[idBytes+1:]) {
		return Forged
	}
	return nil
}

// sum is the MAC of a message; Forged if its headers cannot have been signed.
func (k *macKey) sum(m kafka.Message) ([sha256.Size]byte, error) {
	h := k.hashers.Get().(*hasher) //nolint:forcetypeassert // New makes nothing else
	defer k.hashers.Put(h)
	defer func() { clear(h.covered[:cap(h.covered)]); h.covered = h.covered[:0] }() // hold no message
	for _, header := range m.Headers {
		if !covers(header.Key) {
			continue
		}
		if len(h.covered) == maxCovered {
			return h.sum, Forged
		}
		h.covered = append(h.covered, header)
	}
	slices.SortFunc(h.covered, func(a, b kafka.Header) int { return strings.Compare(a.Key, b.Key) })

	h.mac.Reset()
	h.buf = appendText(h.buf[:0], macDomain)
	h.buf = appendText(h.buf, m.Topic)
	h.buf = binary.BigEndian.AppendUint32(h.buf, uint32(digits(m.Partition))) //nolint:gosec // few
	h.buf = strconv.AppendInt(h.buf, int64(m.Partition), 10)
	h.write(m.Key)
	h.write(m.Value)
	for i, header := range h.covered {
		if i > 0 && header.Key == h.covered[i-1].Key {
			return h.sum, Forged
		}
		h.buf = appendText(h.buf, header.Key)
		h.write(header.Value)
	}
	h.mac.Write(h.buf)
	h.mac.Sum(h.sum[:0])
	return h.sum, nil
}

// covers tells whether the MAC covers a header.
func covers(name string) bool {
	return strings.HasPrefix(name, "ce_") && name != headerMAC || name == headerContent || name == headerTrace
}

const null = 0xffffffff

// write adds bytes and their length: small ones to what is hashed together, large ones without a copy.
func (h *hasher) write(b []byte) {
	if b == nil {
		h.buf = binary.BigEndian.AppendUint32(h.buf, null)
		return
	}
	h.buf = binary.BigEndian.AppendUint32(h.buf, uint32(len(b))) //nolint:gosec // messages have a few MiB
	if len(h.buf)+len(b) <= cap(h.buf) {
		h.buf = append(h.buf, b...)
		return
	}
	h.mac.Write(h.buf)
	h.mac.Write(b)
	h.buf = h.buf[:0]
}

func appendText(buf []byte, s string) []byte {
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(s))) //nolint:gosec // names are short
	return append(buf, s...)
}

func digits(n int) int {
	count := 1
	for ; n > 9; n /= 10 {
		count++
	}
	return count
}
