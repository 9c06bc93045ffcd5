package topic

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

// rereadEvery bounds how often the key file is read again.
const rereadEvery = 10 * time.Second

// Keys sign the relay's messages and verify them: the first of the list signs, all verify. The list is read again as it is
// used, so that a key that was added or removed counts without a restart.
type Keys struct {
	read func() ([][]byte, error)
	log  *slog.Logger
	ring atomic.Pointer[[]*macKey]

	reading sync.Mutex
	looked  atomic.Int64 // when the list was last read, in Unix nanoseconds
	now     func() time.Time
}

// NewKeys reads the list. log may be nil.
func NewKeys(read func() ([][]byte, error), log *slog.Logger) (*Keys, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := &Keys{read: read, log: log, now: time.Now}
	return k, k.load()
}

func (k *Keys) load() error {
	k.looked.Store(k.now().UnixNano())
	all, err := k.read()
	if err == nil && len(all) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return fmt.Errorf("reading the relay's keys: %w", err)
	}
	ring := make([]*macKey, len(all))
	for i, secret := range all {
		ring[i] = newMacKey(secret)
	}
	k.ring.Store(&ring)
	return nil
}

// current is the list, at most rereadEvery old. A file that cannot be read leaves the list as it was.
func (k *Keys) current() []*macKey {
	if k.now().UnixNano()-k.looked.Load() >= int64(rereadEvery) && k.reading.TryLock() {
		if err := k.load(); err != nil {
			k.log.Warn("the relay's keys stay as they were", "error", err)
		}
		k.reading.Unlock()
	}
	return *k.ring.Load()
}

// Sign gives a message, whose topic and partition are set, its ce_mac. It must not have one.
func (k *Keys) Sign(m *kafka.Message) error {
	key := k.current()[0]
	sum, err := key.sum(*m)
	if err != nil {
		return err
	}
	m.Headers = append(m.Headers, kafka.Header{Key: headerMAC, Value: key.stamp(sum)})
	return nil
}

// Verify is nil for a message as a relay with one of the keys signed it, on the topic and partition it was signed for.
// Else it is one of the reasons, Unsigned, UnknownKey or Forged. Nothing else of the message may be believed before.
func (k *Keys) Verify(m kafka.Message) error {
	var stamp []byte
	stamped := 0
	for _, h := range m.Headers {
		if h.Key == headerMAC {
			stamp = h.Value
			stamped++
		}
	}
	switch {
	case stamped == 0:
		return Unsigned
	case stamped > 1 || len(stamp) != stampBytes || stamp[idBytes] != '.':
		return Forged
	}
	for _, key := range k.current() {
		if string(stamp[:idBytes]) == key.id {
			return key.verify(m, stamp)
		}
	}
	return UnknownKey
}

// Open verifies a message and decodes it.
func (k *Keys) Open(m kafka.Message) (Message, error) {
	if err := k.Verify(m); err != nil {
		return Message{}, err
	}
	return Decode(m)
}

// Unverified is the reason why a message is not believed.
type Unverified string

// The reasons.
const (
	Unsigned   Unverified = "unsigned"    // it has no ce_mac
	UnknownKey Unverified = "unknown_key" // its key is not in the list
	Forged     Unverified = "forged"      // it is not what was signed
)

// UnverifiedReasons is all of them.
func UnverifiedReasons() []Unverified { return []Unverified{Unsigned, UnknownKey, Forged} }

func (u Unverified) Error() string {
	switch u {
	case Unsigned:
		return "the message has no ce_mac"
	case UnknownKey:
		return "the message is signed with a key that is not in relay.key"
	}
	return "the message is not what was signed for this topic and partition"
}
