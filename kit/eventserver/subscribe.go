package eventserver

import (
	"math"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// subscribeStream sends a stream's events after a revision, those to come included.
func (s *Server) subscribeStream(p *page, name string, o *streams.ReadReq_Options_StreamOptions) error {
	ctx := p.st.Context()
	w := s.store.Watch(name)
	defer w.Close()
	last := int64(-1)
	switch r := o.GetRevisionOption().(type) {
	case *streams.ReadReq_Options_StreamOptions_Revision:
		last = int64(min(r.Revision, math.MaxInt64-1))
	case *streams.ReadReq_Options_StreamOptions_End:
		v, err := s.store.View(ctx, name)
		if err != nil {
			return failureOf(name, err)
		}
		last = v.Last
	}
	p.add(confirmation())
	live := false
	for {
		v, err := s.store.View(ctx, name)
		switch {
		case err != nil:
			return failureOf(name, err)
		case v.Dead:
			return streamDeleted(name)
		}
		more := false
		err = s.store.ReadStream(v, last+1, func(r *store.Record) bool {
			room := p.take(r)
			last, more = int64(r.Revision), !room //nolint:gosec // revisions are below 1<<63
			return room
		})
		if err != nil {
			return failureOf(name, err)
		}
		w.Reached(uint64(last + 1)) //nolint:gosec // at least 0
		live = p.turn(live, more, func() { p.add(caughtUp(last, 0)) })
		if err := p.flush(); err != nil {
			return err
		}
		if more {
			continue
		}
		select {
		case <-w.C:
		case <-ctx.Done():
			return gone(ctx)
		}
		if err := s.store.Err(); err != nil {
			return failureOf(name, err)
		}
	}
}

// subscribeAll sends the log's events after a position, those to come included. With a filter it also sends a
// checkpoint after each window of events looked at, when it has caught up, and when it has fallen behind.
func (s *Server) subscribeAll(p *page, o *streams.ReadReq_Options_AllOptions, window int) error {
	ctx := p.st.Context()
	w := s.store.Watch("")
	defer w.Close()
	last := uint64(0)
	switch from := o.GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Position:
		last = from.Position.GetCommitPosition()
	case *streams.ReadReq_Options_AllOptions_End:
		last = s.store.Visible()
	}
	if last == math.MaxUint64 {
		last = s.store.Visible()
	}
	if err := reached(last, s.store.Visible()); err != nil {
		return err
	}
	p.add(confirmation())
	live, looked, noted := false, 0, uint64(0)
	note := func() {
		if looked = 0; p.filter != nil && last > noted {
			p.add(checkpoint(last))
			noted = last
		}
	}
	for {
		more := false
		err := s.store.ReadAll(last+1, func(r *store.Record) bool {
			room := p.take(r)
			if p.err != nil {
				return false
			}
			last, more = r.Position, !room
			if looked++; looked >= window {
				note()
			}
			return room
		})
		if err != nil {
			return failureOf("$all", err)
		}
		w.Reached(last)
		fellBehind := live && more && p.err == nil
		live = p.turn(live, more, func() {
			note()
			p.add(caughtUp(-1, last))
		})
		if fellBehind {
			note()
		}
		if err := p.flush(); err != nil {
			return err
		}
		if more {
			if err := gone(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case <-w.C:
		case <-ctx.Done():
			return gone(ctx)
		}
		if err := s.store.Err(); err != nil {
			return failureOf("$all", err)
		}
	}
}

// turn tells the client when it has seen all there is, and when it no longer keeps up.
func (p *page) turn(live, more bool, reached func()) bool {
	switch {
	case p.err != nil:
		return live
	case live && more:
		p.add(&streams.ReadResp{Content: &streams.ReadResp_FellBehind_{FellBehind: &streams.ReadResp_FellBehind{}}})
	case !live && !more:
		reached()
	}
	return !more
}

func confirmation() *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: uuid.NewString()}}}
}

func checkpoint(position uint64) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{
		Checkpoint: &streams.ReadResp_Checkpoint{CommitPosition: position, PreparePosition: position}}}
}

// caughtUp carries the time and where the client is, as servers since 24.10 do; the client's generated code does not
// know these fields yet.
func caughtUp(revision int64, position uint64) *streams.ReadResp {
	now := time.Now()
	var stamp []byte
	stamp = protowire.AppendVarint(protowire.AppendTag(stamp, 1, protowire.VarintType), uint64(now.Unix()))       //nolint:gosec // after 1970
	stamp = protowire.AppendVarint(protowire.AppendTag(stamp, 2, protowire.VarintType), uint64(now.Nanosecond())) //nolint:gosec // never negative
	var extra []byte
	extra = protowire.AppendBytes(protowire.AppendTag(extra, 1, protowire.BytesType), stamp)
	if revision >= 0 {
		extra = protowire.AppendVarint(protowire.AppendTag(extra, 2, protowire.VarintType), uint64(revision))
	}
	if position > 0 {
		var at []byte
		at = protowire.AppendVarint(protowire.AppendTag(at, 1, protowire.VarintType), position)
		at = protowire.AppendVarint(protowire.AppendTag(at, 2, protowire.VarintType), position)
		extra = protowire.AppendBytes(protowire.AppendTag(extra, 3, protowire.BytesType), at)
	}
	m := &streams.ReadResp_CaughtUp{}
	m.ProtoReflect().SetUnknown(extra)
	return &streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{CaughtUp: m}}
}
