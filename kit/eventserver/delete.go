package eventserver

import (
	"context"
	"errors"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/daybook-dev/daybook/internal/eventserver/access"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// unaryTrailers sets the trailers of a call without a stream.
type unaryTrailers struct{ ctx context.Context }

func (t unaryTrailers) SetTrailer(md metadata.MD) { _ = grpc.SetTrailer(t.ctx, md) }

func (s *Server) deleteStream(ctx context.Context, r *streams.DeleteReq) (*streams.DeleteResp, error) {
	o := r.GetOptions()
	var expected store.Expected
	switch e := o.GetExpectedStreamRevision().(type) {
	case *streams.DeleteReq_Options_Revision:
		expected = revision(e.Revision)
	case *streams.DeleteReq_Options_NoStream:
		expected = store.ExpectNoStream
	case *streams.DeleteReq_Options_StreamExists:
		expected = store.ExpectExists
	case *streams.DeleteReq_Options_Any:
		expected = store.ExpectAny
	default:
		return nil, invalid("the delete names no expected revision").GRPCStatus().Err()
	}
	position, err := s.remove(ctx, store.SoftDelete, string(o.GetStreamIdentifier().GetStreamName()), expected)
	if err != nil {
		return nil, err
	}
	return &streams.DeleteResp{PositionOption: &streams.DeleteResp_Position_{
		Position: &streams.DeleteResp_Position{CommitPosition: position, PreparePosition: position}}}, nil
}

func (s *Server) tombstone(ctx context.Context, r *streams.TombstoneReq) (*streams.TombstoneResp, error) {
	o := r.GetOptions()
	var expected store.Expected
	switch e := o.GetExpectedStreamRevision().(type) {
	case *streams.TombstoneReq_Options_Revision:
		expected = revision(e.Revision)
	case *streams.TombstoneReq_Options_NoStream:
		expected = store.ExpectNoStream
	case *streams.TombstoneReq_Options_StreamExists:
		expected = store.ExpectExists
	case *streams.TombstoneReq_Options_Any:
		expected = store.ExpectAny
	default:
		return nil, invalid("the tombstone names no expected revision").GRPCStatus().Err()
	}
	position, err := s.remove(ctx, store.Tombstone, string(o.GetStreamIdentifier().GetStreamName()), expected)
	if err != nil {
		return nil, err
	}
	return &streams.TombstoneResp{PositionOption: &streams.TombstoneResp_Position_{
		Position: &streams.TombstoneResp_Position{CommitPosition: position, PreparePosition: position}}}, nil
}

func (s *Server) remove(ctx context.Context, kind store.Kind, stream string, expected store.Expected) (uint64, error) {
	if err := s.may(ctx, access.Delete, stream); err != nil {
		return 0, end(unaryTrailers{ctx}, err)
	}
	res, err := s.submit(ctx, store.Request{Kind: kind, Stream: stream, Expected: expected})
	if err = errors.Join(err, res.Err); err != nil {
		return 0, end(unaryTrailers{ctx}, failureOf(stream, err))
	}
	return res.Position, nil
}

// revision keeps a number that no stream can have from becoming one of the named expectations.
func revision(n uint64) store.Expected {
	const most = 1<<63 - 1
	return store.Expected(min(n, most))
}
