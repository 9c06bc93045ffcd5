package persistent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver/filter"
	"github.com/daybook-dev/daybook/internal/embedded/eventserver/store"
)

// runner is a group's goroutine: it reads ahead, saves the checkpoint and parks.
type runner struct {
	*Group

	st     *store.Store
	log    *slog.Logger
	filter *filter.Filter
	resume func(context.Context, *store.Record) (*store.Record, error) // resolves a link
}

const (
	tick           = 50 * time.Millisecond
	checkpointType = "$SubscriptionCheckpoint"
	linkType       = "$>"
)

func (r *runner) run(ctx context.Context) {
	defer close(r.ended)
	name := r.s.cfg.Stream
	if name == All {
		name = ""
	}
	w := r.st.Watch(name)
	defer w.Close()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		more, err := r.fill(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("persistent subscription cannot read", "group", r.s.cfg.key(), "error", err)
		}
		r.keep(ctx, false)
		if more {
			continue
		}
		select {
		case <-w.C:
		case <-r.wake:
		case <-t.C:
		case <-r.stop:
			r.keep(context.WithoutCancel(ctx), true)
			return
		}
		r.mu.Lock()
		r.s.expire(time.Now())
		r.s.pump(time.Now())
		r.mu.Unlock()
	}
}

// fill reads a batch if there is room for it and somebody to read for, and tells whether there may be more.
func (r *runner) fill(ctx context.Context) (more bool, err error) {
	r.mu.Lock()
	set := r.s.cfg.Settings
	room := int(set.HistoryBuffer) - len(r.s.waiting) - len(r.s.retries)
	idle := len(r.s.consumers) == 0 || len(r.s.places) > maxBuffer // one message is never answered: stop somewhere
	r.mu.Unlock()
	if idle || room < int(set.ReadBatch) {
		return false, nil
	}
	var read []*store.Record
	visit := func(rec *store.Record) bool {
		read = append(read, rec.Clone())
		return len(read) < int(set.ReadBatch)
	}
	if r.s.cfg.Stream == All {
		err = r.st.ReadAll(max(r.next, 1), visit)
	} else {
		var v store.View
		if v, err = r.st.View(ctx, r.s.cfg.Stream); err == nil {
			err = r.st.ReadStream(v, int64(r.next), visit) //nolint:gosec // below 1<<63
		}
	}
	for _, rec := range read {
		if e := r.take(ctx, rec); e != nil {
			return false, e
		}
	}
	return len(read) == int(set.ReadBatch), err
}

func (r *runner) take(ctx context.Context, rec *store.Record) error {
	at, wanted := rec.Revision, true
	if r.s.cfg.Stream == All {
		at = rec.Position
		// The groups' own streams must not feed a group on everything: each of its checkpoints would be a message.
		wanted = !strings.HasPrefix(string(rec.Stream), "$persistentsubscription-")
		if r.filter != nil && wanted {
			var err error
			if wanted, err = r.filter.Match(rec.Stream, rec.Type); err != nil {
				return err
			}
		}
	}
	m := &Message{Event: rec}
	if wanted && r.s.cfg.Settings.ResolveLinks && string(rec.Type) == linkType {
		target, err := r.resume(ctx, rec)
		if err != nil {
			return err
		}
		if target != rec { // else it names no event
			m.Event, m.Link = target, rec
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if wanted {
		r.s.add(m, at)
	} else {
		r.s.pass(at)
	}
	r.next = at + 1
	r.s.pump(time.Now())
	return nil
}

// keep parks what is to be parked and saves the checkpoint when it is due. What fails stays for the next time.
func (r *runner) keep(ctx context.Context, always bool) {
	r.mu.Lock()
	todo := r.s.parking
	r.s.parking = nil
	r.mu.Unlock()
	for i, p := range todo {
		if err := r.parkOne(ctx, p); err != nil {
			r.log.Warn("persistent subscription cannot park", "group", r.s.cfg.key(), "error", err)
			r.mu.Lock()
			r.s.parking = append(todo[i:len(todo):len(todo)], r.s.parking...)
			r.mu.Unlock()
			break
		}
		r.mu.Lock()
		r.s.finish(p.m)
		r.mu.Unlock()
	}
	r.mu.Lock()
	due := r.s.due(time.Since(r.saved)) || always && r.s.unsaved > 0
	text, counted := r.s.cfg.place(int64(r.s.reached)), r.s.unsaved //nolint:gosec // below 1<<63
	r.mu.Unlock()
	if due {
		if err := r.save(ctx, text); err != nil {
			r.log.Warn("persistent subscription cannot save its checkpoint", "group", r.s.cfg.key(), "error", err)
			return
		}
		r.mu.Lock()
		r.s.unsaved -= counted
		r.saved, r.last = time.Now(), text
		r.mu.Unlock()
	}
}

func (r *runner) save(ctx context.Context, text string) error {
	data, err := json.Marshal(text)
	if err != nil {
		return err
	}
	_, err = write(ctx, r.st, r.s.cfg.checkpointStream(), store.Event{Type: checkpointType, JSON: true, Data: data})
	return err
}

func (r *runner) parkOne(ctx context.Context, p parking) error {
	e := p.m.original()
	meta, err := json.Marshal(map[string]any{"added": time.Now().UTC(), "reason": p.reason})
	if err != nil {
		return err
	}
	data := fmt.Appendf(nil, "%d@%s", e.Revision, e.Stream)
	_, err = write(ctx, r.st, r.s.cfg.parkedStream(), store.Event{Type: linkType, Data: data, Meta: meta})
	return err
}

// write appends an event of the groups' own and waits until it is synced.
func write(ctx context.Context, st *store.Store, stream string, e store.Event) (store.Result, error) {
	e.ID = store.ID(uuid.New())
	done := make(chan store.Result, 1)
	st.Submit(&store.Source{}, &store.Request{Stream: stream, Expected: store.ExpectAny, Events: []store.Event{e},
		Done: func(res store.Result) { done <- res }})
	select {
	case res := <-done:
		return res, res.Err
	case <-ctx.Done():
		return store.Result{}, ctx.Err()
	}
}

// replay sends parked messages again, at most limit of them (0: all).
func (r *runner) replay(ctx context.Context, limit int64) error {
	parked := r.s.cfg.parkedStream()
	r.mu.Lock()
	busy := r.s.replaying > 0
	r.mu.Unlock()
	if busy {
		return nil // those already on their way come first; the stream is cut when they are done
	}
	v, err := r.st.View(ctx, parked)
	if err != nil || !v.Exists || v.First > v.Last {
		return err
	}
	var links []*store.Record
	err = r.st.ReadStream(v, v.First, func(rec *store.Record) bool {
		links = append(links, rec.Clone())
		return limit <= 0 || int64(len(links)) < limit
	})
	if err != nil {
		return err
	}
	var messages []*Message
	for _, link := range links {
		target, err := r.resume(ctx, link)
		if err != nil {
			return err
		}
		if target != nil {
			messages = append(messages, &Message{Event: target, replayed: true})
		}
	}
	cut := links[len(links)-1].Revision + 1
	r.mu.Lock()
	r.s.replaying = len(messages)
	r.s.retries = append(r.s.retries, messages...)
	r.s.pump(time.Now())
	r.mu.Unlock()
	go r.cut(ctx, cut)
	return nil
}

// cut takes replayed messages out of the parked stream once all of them are done.
func (r *runner) cut(ctx context.Context, before uint64) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		r.mu.Lock()
		left := r.s.replaying
		r.mu.Unlock()
		if left == 0 {
			data := fmt.Appendf(nil, `{"$tb":%d}`, before)
			_, err := write(ctx, r.st, "$$"+r.s.cfg.parkedStream(), store.Event{Type: "$metadata", JSON: true, Data: data})
			if err == nil || errors.Is(err, context.Canceled) {
				return
			}
		}
		select {
		case <-t.C:
		case <-r.stop:
			return
		}
	}
}

// load finds where a group goes on.
func (r *runner) load(ctx context.Context) error {
	cfg := &r.s.cfg
	r.next = cfg.From
	v, err := r.st.View(ctx, cfg.checkpointStream())
	if err != nil || !v.Exists {
		return err
	}
	var text string
	err = r.st.ReadStreamBackwards(v, v.Last, func(rec *store.Record) bool {
		if e := json.Unmarshal(rec.Data, &text); e != nil {
			text = strconv.Quote(string(rec.Data))
		}
		return false
	})
	if err != nil || text == "" {
		return err
	}
	reached, err := cfg.parsePlace(text)
	if err != nil {
		return fmt.Errorf("group %s: %w", cfg.key(), err)
	}
	r.s.reached, r.s.begun, r.last = reached, true, text
	r.next = reached + 1
	return nil
}
