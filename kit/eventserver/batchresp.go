package eventserver

import (
	"encoding/binary"
	"errors"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	statusproto "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// response is the answer to one append of a BatchAppend call. Its errors travel in the answer: ending the call would
// fail everybody's appends.
func (e *batchEntry) response() any {
	if e.res.Err == nil {
		return &wire.BatchSuccess{Correlation: e.id, TextUUID: e.text, Stream: e.stream, Expected: e.expected,
			Revision: e.res.Revision, Position: e.res.Position}
	}
	resp := &streams.BatchAppendResp{
		CorrelationId:    uuidMessage(e.id, e.text),
		StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(e.stream)},
		Result:           &streams.BatchAppendResp_Error{Error: batchError(e.stream, e.limit, e.res.Err)},
	}
	switch e.expected {
	case store.ExpectAny:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_Any{Any: &emptypb.Empty{}}
	case store.ExpectExists:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_StreamExists{StreamExists: &emptypb.Empty{}}
	case store.ExpectNoStream:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_NoStream{NoStream: &emptypb.Empty{}}
	case wire.ExpectUnset:
	default:
		resp.ExpectedStreamPosition = &streams.BatchAppendResp_StreamPosition{StreamPosition: uint64(e.expected)}
	}
	return resp
}

// batchError names the error by its details' type, as clients expect it.
func batchError(stream string, limit int, err error) *statusproto.Status {
	if wrong, ok := errors.AsType[*store.WrongVersionError](err); ok {
		return statusOf(codes.FailedPrecondition, wrongVersionText(wrong), wrongVersionDetail(wrong))
	}
	f := failureOf(stream, err)
	var detail proto.Message
	switch {
	case errors.Is(err, store.ErrDeleted):
		detail = &shared.StreamDeleted{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}}
	case len(f.trailers) > 1 && f.trailers[1] == "maximum-append-size-exceeded":
		detail = &shared.MaximumAppendSizeExceeded{MaxAppendSize: uint32(limit)} //nolint:gosec // bounded by Config
	case f.code == codes.PermissionDenied:
		detail = &shared.AccessDenied{}
	case f.code == codes.DeadlineExceeded:
		detail = &shared.Timeout{}
	case f.code == codes.InvalidArgument:
		detail = &shared.BadRequest{Message: f.text}
	default:
		detail = &shared.Unknown{}
	}
	return statusOf(f.code, f.text, detail)
}

func statusOf(c codes.Code, text string, detail proto.Message) *statusproto.Status {
	st := &statusproto.Status{Code: int32(c), Message: text} //nolint:gosec // gRPC's codes are small
	if d, err := anypb.New(detail); err == nil {
		st.Details = []*anypb.Any{d}
	}
	return st
}

func wrongVersionDetail(e *store.WrongVersionError) *shared.WrongExpectedVersion {
	d := &shared.WrongExpectedVersion{}
	if e.Current < 0 {
		d.CurrentStreamRevisionOption = &shared.WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &emptypb.Empty{}}
	} else {
		d.CurrentStreamRevisionOption = &shared.WrongExpectedVersion_CurrentStreamRevision{CurrentStreamRevision: uint64(e.Current)}
	}
	switch e.Expected {
	case store.ExpectAny:
		d.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedAny{ExpectedAny: &emptypb.Empty{}}
	case store.ExpectExists:
		d.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &emptypb.Empty{}}
	case store.ExpectNoStream:
		d.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &emptypb.Empty{}}
	default:
		d.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamPosition{ExpectedStreamPosition: uint64(e.Expected)}
	}
	return d
}

// uuidMessage writes an id in the form the client uses.
func uuidMessage(id store.ID, text bool) *shared.UUID {
	if text {
		return &shared.UUID{Value: &shared.UUID_String_{String_: wire.UUIDText(id)}}
	}
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])), //nolint:gosec // the same bits
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])), //nolint:gosec // the same bits
	}}}
}
