package feed

import (
	"bytes"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/kafkaread"
	"github.com/daybook-dev/daybook/internal/topic"
)

// opened keeps what batches were read as, for the feeds of a process: each fetches the same bytes, and nothing changes what was made of them. It is
// kept briefly, for the keys by which messages are believed may change. What was refused is read, and counted, by each feed for itself.
type opened struct {
	mu    sync.Mutex
	parts map[int]*[openedBatches]openedBatch
}

const (
	openedBatches = 8 // of each partition
	openedBytes   = 64 << 10
	openedFor     = 5 * time.Second
)

type openedBatch struct {
	kafkaread.Place

	raw      []byte
	messages []topic.Message
	until    time.Time
}

// find gives the messages of a batch that was opened a moment ago.
func (o *opened) find(b kafkaread.Piece, now time.Time) (messages []topic.Message, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if part := o.parts[b.Partition]; part != nil {
		for i := range part {
			if one := &part[i]; one.Place == b.Place && now.Before(one.until) && bytes.Equal(one.raw, b.Raw()) {
				return one.messages, true
			}
		}
	}
	return nil, false
}

func (o *opened) keep(b kafkaread.Piece, messages []topic.Message, now time.Time) {
	if b.Size() > openedBytes {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	part := o.parts[b.Partition]
	if part == nil {
		part = &[openedBatches]openedBatch{}
		o.parts[b.Partition] = part
	}
	oldest := &part[0]
	for i := range part {
		if part[i].until.Before(oldest.until) {
			oldest = &part[i]
		}
	}
	*oldest = openedBatch{b.Place, b.Raw(), messages, now.Add(openedFor)}
}

// openAll gives the messages of a piece that are the relay's, and notes the others.
func (f *Feed) openAll(piece kafkaread.Piece) (messages []topic.Message) {
	for _, b := range piece.Batches() {
		now := time.Now()
		known, ok := f.cfg.Scan.opened.find(b, now)
		if !ok {
			page := b.Read()
			known = f.open(b.Partition, page)
			if len(page.Unreadable) == 0 && len(known) == len(page.Messages) {
				f.cfg.Scan.opened.keep(b, known, now)
			}
		}
		messages = append(messages, known...)
	}
	return messages
}
