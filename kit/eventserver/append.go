package eventserver

import (
	"context"
	"errors"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// append takes one append: its options, then an event per message. Everything is read before anything is answered, or
// the client would not see the answer.
func (s *Server) append(st grpc.ServerStream) error {
	p := pending{limit: s.cfg.MaxAppendBytes}
	for {
		var m wire.AppendReq
		err := st.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case m.Options:
			p.options(m.Stream, m.Expected)
		case m.Proposed:
			p.add(&m.Event)
		}
	}
	if err := p.check(); err != nil {
		return end(st, err)
	}
	if err := s.mayAppend(st.Context(), &p); err != nil {
		return end(st, err)
	}
	res, err := s.submit(st.Context(), store.Request{Stream: p.stream, Expected: p.expected, Events: p.events})
	if err != nil {
		return end(st, failureOf(p.stream, err))
	}
	resp, err := appendResp(p.stream, p.expected, res)
	if err != nil {
		return end(st, err)
	}
	return st.SendMsg(resp)
}

// appendBudget bounds the bytes of appends that wait for the writer, BatchAppend's aside, which have bounds of their own.
const appendBudget = 64 << 20

// submit waits for the outcome, or until the caller no longer does.
func (s *Server) submit(ctx context.Context, r store.Request) (store.Result, error) {
	size := int64(len(r.Stream)) + 256
	for i := range r.Events {
		size += int64(r.Events[i].Size())
	}
	size = min(size, appendBudget)
	if err := s.budget.Acquire(ctx, size); err != nil {
		return store.Result{}, err
	}
	c := make(chan store.Result, 1)
	r.Done = func(res store.Result) { s.budget.Release(size); s.changed(r.Stream, res.Err); c <- res }
	r.Deadline, _ = ctx.Deadline()
	s.store.Submit(&store.Source{}, &r)
	select {
	case res := <-c:
		return res, nil
	case <-ctx.Done():
		return store.Result{}, ctx.Err()
	}
}

func appendResp(stream string, expected store.Expected, res store.Result) (*streams.AppendResp, error) {
	var wrong *store.WrongVersionError
	switch {
	case errors.As(res.Err, &wrong):
		return &streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{
			WrongExpectedVersion: wrongVersionResp(expected, wrong.Current)}}, nil
	case res.Err != nil:
		return nil, failureOf(stream, res.Err)
	}
	ok := &streams.AppendResp_Success{}
	if res.Revision < 0 {
		ok.CurrentRevisionOption = &streams.AppendResp_Success_NoStream{NoStream: &shared.Empty{}}
	} else {
		ok.CurrentRevisionOption = &streams.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(res.Revision)}
	}
	if res.Position == 0 {
		ok.PositionOption = &streams.AppendResp_Success_NoPosition{NoPosition: &shared.Empty{}}
	} else {
		ok.PositionOption = &streams.AppendResp_Success_Position{Position: &streams.AppendResp_Position{
			CommitPosition: res.Position, PreparePosition: res.Position}}
	}
	return &streams.AppendResp{Result: &streams.AppendResp_Success_{Success: ok}}, nil
}

// wrongVersionResp fills the fields of today's clients and those of clients before 21.2.
func wrongVersionResp(expected store.Expected, current int64) *streams.AppendResp_WrongExpectedVersion {
	type w = streams.AppendResp_WrongExpectedVersion
	out, empty := &w{}, &shared.Empty{}
	if current < 0 {
		out.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentNoStream{CurrentNoStream: empty}
		out.CurrentRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_NoStream_20_6_0{NoStream_20_6_0: empty}
	} else {
		out.CurrentRevisionOption = &streams.AppendResp_WrongExpectedVersion_CurrentRevision{CurrentRevision: uint64(current)}
		out.CurrentRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_CurrentRevision_20_6_0{CurrentRevision_20_6_0: uint64(current)}
	}
	switch expected {
	case store.ExpectAny:
		out.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedAny{ExpectedAny: empty}
		out.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_Any_20_6_0{Any_20_6_0: empty}
	case store.ExpectExists:
		out.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: empty}
		out.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_StreamExists_20_6_0{StreamExists_20_6_0: empty}
	case store.ExpectNoStream:
		out.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: empty}
	default:
		out.ExpectedRevisionOption = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision{ExpectedRevision: uint64(expected)}
		out.ExpectedRevisionOption_20_6_0 = &streams.AppendResp_WrongExpectedVersion_ExpectedRevision_20_6_0{ExpectedRevision_20_6_0: uint64(expected)}
	}
	return out
}

// pending is an append being received.
type pending struct {
	limit    int
	started  bool
	stream   string
	expected store.Expected
	events   []store.Event
	size     int
	err      error // the first thing wrong with it
}

func (p *pending) options(stream string, expected store.Expected) {
	if p.started {
		p.fail(invalid("the append's options were sent twice"))
	}
	p.started, p.stream, p.expected = true, stream, expected
	if expected == wire.ExpectUnset {
		p.fail(invalid("the append names no expected revision"))
	}
}

func (p *pending) add(e *wire.Event) {
	switch {
	case !p.started:
		p.fail(invalid("an event was sent before the append's options"))
	case !e.HasID || e.ID == store.ID{}:
		p.fail(invalid("event %d has no id", len(p.events)))
	case !e.HasType:
		p.fail(missingProperty("type"))
	case !e.HasContentType:
		p.fail(missingProperty("content-type"))
	}
	if p.size += e.Size(); p.size > p.limit || len(p.events) > p.limit/leastEvent {
		p.fail(tooLarge(p.limit))
	}
	if p.err == nil {
		p.events = append(p.events, e.Event)
	} else {
		p.events = nil
	}
}

// leastEvent bounds the number of events by what each costs at least, however small it is.
const leastEvent = 8

func (p *pending) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *pending) check() error {
	if !p.started {
		p.fail(invalid("the append has no options"))
	}
	return p.err
}
