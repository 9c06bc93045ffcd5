package eventserver

import (
	"context"
	"errors"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
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
	position, err := s.remove(ctx, store.SoftDelete, "delete", o, o.GetExpectedStreamRevision() != nil)
	if err != nil {
		return nil, err
	}
	return &streams.DeleteResp{PositionOption: &streams.DeleteResp_Position_{
		Position: &streams.DeleteResp_Position{CommitPosition: position, PreparePosition: position}}}, nil
}

func (s *Server) tombstone(ctx context.Context, r *streams.TombstoneReq) (*streams.TombstoneResp, error) {
	o := r.GetOptions()
	position, err := s.remove(ctx, store.Tombstone, "tombstone", o, o.GetExpectedStreamRevision() != nil)
	if err != nil {
		return nil, err
	}
	return &streams.TombstoneResp{PositionOption: &streams.TombstoneResp_Position_{
		Position: &streams.TombstoneResp_Position{CommitPosition: position, PreparePosition: position}}}, nil
}

// removal is the options of a delete, or of a tombstone.
type removal interface {
	GetStreamIdentifier() *shared.StreamIdentifier
	GetRevision() uint64
	GetNoStream() *shared.Empty
	GetStreamExists() *shared.Empty
	GetAny() *shared.Empty
}

// remove deletes or tombstones a stream. expects: the options name an expected revision.
func (s *Server) remove(ctx context.Context, kind store.Kind, what string, o removal, expects bool) (uint64, error) {
	stream, expected := string(o.GetStreamIdentifier().GetStreamName()), revision(o.GetRevision())
	switch {
	case !expects:
		return 0, invalid("the %s names no expected revision", what).GRPCStatus().Err()
	case o.GetNoStream() != nil:
		expected = store.ExpectNoStream
	case o.GetStreamExists() != nil:
		expected = store.ExpectExists
	case o.GetAny() != nil:
		expected = store.ExpectAny
	}
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
