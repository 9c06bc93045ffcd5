package esclient

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
)

// The official client cannot filter a reading of the log, only a subscription, and its subscriptions go over a network even to a
// server in the same process. The protocol can. The server then keeps its own streams to itself. What it cannot filter at the same time are types: Record.Recorded has the last word.

const ownStreams = `^[^\$]` // all but the store's

// filtered is a source of the log's events, forwards or backwards, from a position on: inclusive forwards, exclusive
// backwards. Position 0 is the beginning, math.MaxUint64 the end.
func filtered(ctx context.Context, s *session, back bool, from, count uint64) (source, error) {
	options := ofLog(from)
	options.CountOption = &streams.ReadReq_Options_Count{Count: count}
	if back {
		options.ReadDirection = streams.ReadReq_Options_Backwards
	}
	return s.read(ctx, options, func(e *event) bool { return e.given })
}

// following is a source of the log's events from a position on, and of those to come. It also says how far the server has looked.
func following(ctx context.Context, s *session, from uint64) (source, error) {
	options := ofLog(from)
	options.CountOption = &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}}
	return s.read(ctx, options, func(e *event) bool { return e.given || e.looked > 0 || e.caughtUp })
}

// ofLog asks for the log's events forwards from a position on; how many is left to say.
func ofLog(from uint64) *streams.ReadReq_Options {
	all := &streams.ReadReq_Options_AllOptions{}
	switch from {
	case 0:
		all.AllOption = &streams.ReadReq_Options_AllOptions_Start{Start: &shared.Empty{}}
	case math.MaxUint64:
		all.AllOption = &streams.ReadReq_Options_AllOptions_End{End: &shared.Empty{}}
	default:
		all.AllOption = &streams.ReadReq_Options_AllOptions_Position{Position: &streams.ReadReq_Options_Position{CommitPosition: from, PreparePosition: from}}
	}
	return &streams.ReadReq_Options{
		StreamOption:  &streams.ReadReq_Options_All{All: all},
		ReadDirection: streams.ReadReq_Options_Forwards,
		FilterOption: &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
			Filter:                       &streams.ReadReq_Options_FilterOptions_StreamIdentifier{StreamIdentifier: &streams.ReadReq_Options_FilterOptions_Expression{Regex: ownStreams}},
			Window:                       &streams.ReadReq_Options_FilterOptions_Max{Max: searchWindow},
			CheckpointIntervalMultiplier: 1,
		}},
		UuidOption: &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_Structured{Structured: &shared.Empty{}}},
	}
}

// read begins a reading over the session's own connection. Messages that are not wanted are left out.
func (s *session) read(ctx context.Context, options *streams.ReadReq_Options, wanted func(*event) bool) (source, error) {
	conn, err := s.connection(ctx)
	if err != nil {
		return source{}, err
	}
	desc := grpc.StreamDesc{StreamName: "Read", ServerStreams: true}
	st, err := conn.NewStream(toLeader(ctx), &desc, streams.Streams_Read_FullMethodName, grpc.ForceCodecV2(codec{}))
	if err != nil {
		return source{}, err
	}
	if err := st.SendMsg(&streams.ReadReq{Options: options}); err != nil && !errors.Is(err, io.EOF) { // the receiving side knows more than an EOF
		return source{}, err
	}
	if err := st.CloseSend(); err != nil {
		return source{}, err
	}
	e := newEvent()
	next := func() (item, error) {
		for {
			if err := st.RecvMsg(e); err != nil {
				return item{}, err // io.EOF at the end
			}
			if wanted(e) {
				return item{record: e.record, position: e.looked, caughtUp: e.caughtUp}, nil
			}
		}
	}
	return source{next: next, close: func() {}}, nil // it ends with ctx
}

// connection is the session's own, beside the official client's.
func (s *session) connection(ctx context.Context) (conn, error) {
	s.dialling.Lock()
	defer s.dialling.Unlock()
	if s.conn == nil {
		conn, err := s.owner.connect(ctx)
		if err != nil {
			return nil, err
		}
		s.conn = conn
	}
	return s.conn, nil
}
