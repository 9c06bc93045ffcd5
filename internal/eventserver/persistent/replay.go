package persistent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// parkedMeta is the metadata of a parked message, which itself is a link to the event that consumers got: why it is there, and the
// link by which it came, if it came by one.
type parkedMeta struct {
	Added  time.Time `json:"added"`
	Reason string    `json:"reason"`
	Number uint64    `json:"subscriptionEventNumber"`
	Link   string    `json:"link,omitempty"`
}

// reference names an event as links do.
func reference(r *store.Record) string { return fmt.Sprintf("%d@%s", r.Revision, r.Stream) }

func parseReference(s string) (revision int64, stream string, ok bool) {
	number, stream, ok := strings.Cut(s, "@")
	revision, err := strconv.ParseInt(number, 10, 64)
	return revision, stream, ok && err == nil && revision >= 0
}

func (r *runner) parkOne(ctx context.Context, p parking) error {
	m, parked := p.m, r.s.cfg.parkedStream()
	meta := parkedMeta{Added: time.Now().UTC(), Reason: p.reason, Number: m.original().Revision}
	if m.Link != nil && string(m.Link.Stream) != parked {
		meta.Link = reference(m.Link)
	}
	var target string
	if m.Event != nil {
		target = reference(m.Event)
	} else {
		target = string(m.Link.Data)
	}
	encoded, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	_, err = write(ctx, r.st, parked, store.Event{Type: linkType, Data: []byte(target), Meta: encoded})
	return err
}

// unpark makes a parked message what it was when it was first delivered. Where its event or its link is gone, the link is the one in
// the parked stream.
func (r *runner) unpark(ctx context.Context, parked *store.Record) (*Message, error) {
	var meta parkedMeta
	if json.Unmarshal(parked.Meta, &meta) == nil && meta.Link != "" {
		link, err := r.event(ctx, meta.Link)
		if err != nil {
			return nil, err
		}
		if link != nil {
			return r.message(ctx, link)
		}
	}
	event, err := r.event(ctx, string(parked.Data))
	if err != nil {
		return nil, err
	}
	if event == nil || meta.Link != "" {
		return &Message{Event: event, Link: parked}, nil
	}
	return r.message(ctx, event)
}

// event reads the event of a reference; nil if there is none.
func (r *runner) event(ctx context.Context, reference string) (found *store.Record, err error) {
	revision, stream, ok := parseReference(reference)
	if !ok {
		return nil, nil //nolint:nilnil // what names no event has none
	}
	v, err := r.st.View(ctx, stream)
	if errors.Is(err, store.ErrDeleted) {
		return nil, nil //nolint:nilnil // gone
	}
	if err != nil || !v.Exists {
		return nil, err
	}
	err = r.st.ReadStream(v, revision, func(rec *store.Record) bool {
		if rec.Revision == uint64(revision) { //nolint:gosec // not negative
			found = rec.Clone()
		}
		return false
	})
	return found, err
}

// replay sends parked messages again: those whose number in the parked stream is below stopAt, or all.
func (r *runner) replay(ctx context.Context, stopAt *int64) error {
	if stopAt != nil && *stopAt < 0 {
		return refused("Cannot stop replaying parked message at a negative version.")
	}
	v, err := r.st.View(ctx, r.s.cfg.parkedStream())
	if err != nil || !v.Exists {
		return err
	}
	end := v.Last + 1
	if stopAt != nil {
		end = min(end, *stopAt)
	}
	r.mu.Lock()
	r.replayNext = max(r.replayNext, v.First)
	r.replayEnd = max(r.replayEnd, end)
	r.mu.Unlock()
	r.poke()
	return nil
}

func (r *runner) replayBatch(ctx context.Context, from, to int64) error {
	v, err := r.st.View(ctx, r.s.cfg.parkedStream())
	if err != nil {
		return err
	}
	var links []*store.Record
	if v.Exists {
		err = r.st.ReadStream(v, from, func(rec *store.Record) bool {
			if rec.Revision < uint64(to) { //nolint:gosec // not negative
				links = append(links, rec.Clone())
			}
			return rec.Revision+1 < uint64(to) //nolint:gosec // not negative
		})
		if err != nil {
			return err
		}
	}
	for _, link := range links {
		m, err := r.unpark(ctx, link)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.s.replay(m, link.Revision)
		r.replayNext = int64(link.Revision) + 1 //nolint:gosec // below 1<<63
		r.s.pump(time.Now())
		r.mu.Unlock()
	}
	r.mu.Lock()
	r.replayNext = to
	r.mu.Unlock()
	return nil
}

// cutEvery bounds how many messages are replayed again after a crash although they were done.
const cutEvery = 500

// cutParked takes out of the parked stream what was replayed and is done.
func (r *runner) cutParked(ctx context.Context, always bool) error {
	r.mu.Lock()
	at, sequence, _ := r.s.parked.reached()
	done := sequence - r.cut
	due := done > 0 && (always || done >= cutEvery || r.s.parked.open.Len() == 0)
	r.mu.Unlock()
	if !due {
		return nil
	}
	data := fmt.Appendf(nil, `{"$tb":%d}`, at+1)
	if _, err := write(ctx, r.st, "$$"+r.s.cfg.parkedStream(), store.Event{Type: "$metadata", JSON: true, Data: data}); err != nil {
		return fmt.Errorf("take replayed messages out of the parked stream: %w", err)
	}
	r.mu.Lock()
	r.cut = sequence
	r.mu.Unlock()
	return nil
}

// waiting counts the parked messages that are not on their way again.
func (r *runner) waiting(v store.View) int64 {
	if !v.Exists {
		return 0
	}
	return max(0, v.Last+1-max(v.First, r.replayEnd))
}
