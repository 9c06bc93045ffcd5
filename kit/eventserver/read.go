package eventserver

import (
	"errors"
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"

	"github.com/daybook-dev/daybook/internal/eventserver/access"
	"github.com/daybook-dev/daybook/internal/eventserver/filter"
	"github.com/daybook-dev/daybook/internal/eventserver/persistent"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// read serves reads and subscriptions, of a stream and of $all: they are one method of the protocol.
func (s *Server) read(st grpc.ServerStream) error {
	var req streams.ReadReq
	if err := st.RecvMsg(&req); err != nil {
		return err
	}
	err := s.dispatch(st, req.GetOptions())
	if err != nil {
		var f *failure
		if !errors.As(err, &f) && st.Context().Err() == nil {
			s.cfg.Logger.Debug("a read ended", "error", err)
		}
	}
	return end(st, err)
}

func (s *Server) dispatch(st grpc.ServerStream, o *streams.ReadReq_Options) error {
	if o == nil {
		return invalid("the read has no options")
	}
	p := &page{st: st, s: s, left: math.MaxUint64, resolve: o.GetResolveLinks()}
	_, p.text = o.GetUuidOption().GetContent().(*streams.ReadReq_Options_UUIDOption_String_)
	window, err := p.filterBy(o.GetFilter())
	if err != nil {
		return err
	}
	_, subscribes := o.GetCountOption().(*streams.ReadReq_Options_Subscription)
	back := o.GetReadDirection() == streams.ReadReq_Options_Backwards
	if !subscribes {
		p.left = o.GetCount()
	} else if back {
		return invalid("a subscription cannot go backwards")
	}
	switch from := o.GetStreamOption().(type) {
	case *streams.ReadReq_Options_Stream:
		name := string(from.Stream.GetStreamIdentifier().GetStreamName())
		if name == "" {
			return invalid("the stream has no name")
		}
		if p.filter != nil {
			return invalid("only $all can be filtered")
		}
		if err := s.may(p.st.Context(), access.Read, name); err != nil {
			return err
		}
		if subscribes {
			return s.subscribeStream(p, name, from.Stream)
		}
		return s.readStream(p, name, from.Stream, back, o.GetControlOption().GetCompatibility())
	case *streams.ReadReq_Options_All:
		if err := s.may(p.st.Context(), access.Read, persistent.All); err != nil {
			return err
		}
		if subscribes {
			return s.subscribeAll(p, from.All, window)
		}
		return s.readAll(p, from.All, back)
	}
	return invalid("the read names neither a stream nor $all")
}

// filterBy compiles the filter and gives the number of events between two checkpoints.
func (p *page) filterBy(o *streams.ReadReq_Options_FilterOptions) (window int, err error) {
	if o == nil {
		return 0, nil
	}
	byType := false
	var e *streams.ReadReq_Options_FilterOptions_Expression
	switch f := o.GetFilter().(type) {
	case *streams.ReadReq_Options_FilterOptions_StreamIdentifier:
		e = f.StreamIdentifier
	case *streams.ReadReq_Options_FilterOptions_EventType:
		byType, e = true, f.EventType
	}
	if p.filter, err = filter.New(byType, e.GetRegex(), e.GetPrefix()); err != nil {
		return 0, invalid("%v", err)
	}
	const most = 1 << 30
	window = defaultWindow
	if w, ok := o.GetWindow().(*streams.ReadReq_Options_FilterOptions_Max); ok && w.Max > 0 {
		window = int(min(w.Max, most))
	}
	if m := o.GetCheckpointIntervalMultiplier(); m > 1 {
		window = int(min(uint64(window)*uint64(m), most))
	}
	return window, nil
}

const defaultWindow = 32

func (s *Server) readStream(p *page, name string, o *streams.ReadReq_Options_StreamOptions, back bool, compatibility uint32) error {
	ctx := p.st.Context()
	v, err := s.store.View(ctx, name)
	switch {
	case err != nil:
		return failureOf(name, err)
	case v.Dead:
		return streamDeleted(name)
	case !v.Exists:
		return p.st.SendMsg(&streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
			StreamNotFound: &streams.ReadResp_StreamNotFound{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(name)}}}})
	}
	next := int64(0)
	switch r := o.GetRevisionOption().(type) {
	case *streams.ReadReq_Options_StreamOptions_Revision:
		next = int64(min(r.Revision, math.MaxInt64))
	case *streams.ReadReq_Options_StreamOptions_End:
		next = math.MaxInt64
	}
	if compatibility >= 1 && !back && next < v.First {
		p.add(&streams.ReadResp{Content: &streams.ReadResp_FirstStreamPosition{FirstStreamPosition: uint64(v.First)}})
	}
	for more := true; more && p.left > 0; {
		if err := gone(ctx); err != nil {
			return err
		}
		more = false
		visit := func(r *store.Record) bool {
			room := p.take(r)
			if next = int64(r.Revision) + 1; back { //nolint:gosec // revisions are below 1<<63
				next -= 2
			}
			more = !room
			return room
		}
		if back {
			err = s.store.ReadStreamBackwards(v, next, visit)
		} else {
			err = s.store.ReadStream(v, next, visit)
		}
		if err != nil {
			return failureOf(name, err)
		}
		if err := p.flush(); err != nil {
			return err
		}
	}
	if compatibility >= 1 && !back {
		return p.st.SendMsg(&streams.ReadResp{Content: &streams.ReadResp_LastStreamPosition{LastStreamPosition: uint64(v.Last)}})
	}
	return nil
}

// reached refuses to go forwards from a position that the log has not reached, by which events to come would be passed over. The
// caller's position is one of another history.
func reached(position, most uint64) error {
	if position > most {
		return invalid("Trying to read from an invalid position: %d, the log ends at %d.", position, most)
	}
	return nil
}

func (s *Server) readAll(p *page, o *streams.ReadReq_Options_AllOptions, back bool) error {
	ctx := p.st.Context()
	end := s.store.Visible()
	next := uint64(0)
	switch from := o.GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Position:
		next = from.Position.GetCommitPosition()
	case *streams.ReadReq_Options_AllOptions_End:
		next = math.MaxUint64
	}
	if !back && next != math.MaxUint64 {
		if err := reached(next, end+1); err != nil { // the position behind the last event is where the next one will be
			return err
		}
	}
	for more := true; more && p.left > 0; {
		if err := gone(ctx); err != nil {
			return err
		}
		more = false
		visit := func(r *store.Record) bool {
			if r.Position > end {
				return false // written since the reading began
			}
			room := p.take(r)
			if next = r.Position; !back {
				next++
			}
			more = !room
			return room
		}
		var err error
		if back {
			err = s.store.ReadAllBackwards(min(next, end+1), visit)
		} else {
			err = s.store.ReadAll(next, visit)
		}
		if err != nil {
			return failureOf("$all", err)
		}
		if err := p.flush(); err != nil {
			return err
		}
	}
	return nil
}
