package persistent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/filter"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// runner is a group's goroutine: it reads ahead, saves the checkpoint and parks.
type runner struct {
	*Group

	st     *store.Store
	log    *slog.Logger
	filter *filter.Filter
	// resolve finds a link's target: nil if it is gone, or if the link names no event.
	resolve func(context.Context, *store.Record) (*store.Record, error)
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
			r.log.Warn("persistent subscription cannot read: its consumers are dropped", "group", r.s.cfg.key(), "error", err)
			r.mu.Lock()
			r.dropAll()
			r.mu.Unlock()
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

// fill reads a batch if there is room for it, and tells whether there may be more: first of what is replayed, then of the stream.
func (r *runner) fill(ctx context.Context) (more bool, err error) {
	r.mu.Lock()
	batch := r.s.cfg.Settings.batch()
	room, from, to := r.s.room(), r.replayNext, r.replayEnd
	r.mu.Unlock()
	switch {
	case room < batch:
		return false, nil
	case from < to:
		return true, r.replayBatch(ctx, from, min(to, from+int64(batch)))
	}
	var read []*store.Record
	visit := func(rec *store.Record) bool {
		read = append(read, rec.Clone())
		return len(read) < batch
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
	return len(read) == batch, err
}

// own are the streams of groups. They must not feed a group on everything: each of its checkpoints would be a message.
var own = []string{"$persistentsubscription-", "$$$persistentsubscription-"}

func (r *runner) take(ctx context.Context, rec *store.Record) (err error) {
	at, wanted, ours := rec.Revision, true, false
	if r.s.cfg.Stream == All {
		at = rec.Position
		ours = slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(string(rec.Stream), prefix) })
		wanted = !ours
		if r.filter != nil && wanted {
			if wanted, err = r.filter.Match(rec.Stream, rec.Type); err != nil {
				return err
			}
		}
	}
	var m *Message
	if wanted {
		if m, err = r.message(ctx, rec); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if wanted {
		r.s.add(m, at)
	} else {
		r.s.stream.pass(at, !ours)
	}
	r.next = at + 1
	r.s.pump(time.Now())
	return nil
}

// message is an event as consumers get it: beside its link, if the group resolves links.
func (r *runner) message(ctx context.Context, rec *store.Record) (*Message, error) {
	if !r.s.cfg.Settings.ResolveLinks || string(rec.Type) != linkType {
		return &Message{Event: rec}, nil
	}
	target, err := r.resolve(ctx, rec)
	if err != nil {
		return nil, err
	}
	return &Message{Event: target, Link: rec}, nil
}

// keep parks what is to be parked, takes out of the parked stream what was replayed, and saves the checkpoint when it is due. What
// fails stays for the next time.
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
	if err := errors.Join(r.cutParked(ctx, always), r.checkpoint(ctx, always)); err != nil {
		r.log.Warn("persistent subscription cannot save how far it is", "group", r.s.cfg.key(), "error", err)
	}
}

func (r *runner) checkpoint(ctx context.Context, always bool) error {
	r.mu.Lock()
	at, sequence, _ := r.s.stream.reached()
	due := r.s.due(time.Since(r.saved)) || always && sequence > r.s.saved && !r.forget
	r.mu.Unlock()
	if !due {
		return nil
	}
	text := r.s.cfg.place(int64(at)) //nolint:gosec // below 1<<63
	if err := r.save(ctx, text); err != nil {
		return err
	}
	r.mu.Lock()
	r.s.saved = sequence
	r.saved, r.last = time.Now(), text
	r.mu.Unlock()
	return nil
}

func (r *runner) save(ctx context.Context, text string) error {
	data, err := json.Marshal(text)
	if err != nil {
		return err
	}
	_, err = write(ctx, r.st, r.s.cfg.checkpointStream(), store.Event{Type: checkpointType, JSON: true, Data: data})
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
	r.s.stream.pass(reached, false)
	r.next, r.last = reached+1, text
	return nil
}
