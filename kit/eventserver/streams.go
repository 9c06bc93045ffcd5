package eventserver

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
)

const streamsService = "event_store.client.streams.Streams"

// streamsDesc describes the Streams service by hand, because the generated handlers know only generated messages.
func streamsDesc(s *Server) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: streamsService,
		Metadata:    "streams.proto",
		Methods: []grpc.MethodDesc{
			{MethodName: "Delete", Handler: unary(streamsService, "Delete", func(ctx context.Context, r *streams.DeleteReq) (*streams.DeleteResp, error) {
				return s.deleteStream(ctx, r)
			})},
			{MethodName: "Tombstone", Handler: unary(streamsService, "Tombstone", func(ctx context.Context, r *streams.TombstoneReq) (*streams.TombstoneResp, error) {
				return s.tombstone(ctx, r)
			})},
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "Read", ServerStreams: true, Handler: func(_ any, st grpc.ServerStream) error { return s.read(st) }},
			{StreamName: "Append", ClientStreams: true, Handler: func(_ any, st grpc.ServerStream) error { return s.append(st) }},
			{StreamName: "BatchAppend", ServerStreams: true, ClientStreams: true,
				Handler: func(_ any, st grpc.ServerStream) error { return s.batchAppend(st) }},
		},
	}
}

// unary adapts a call with one request and one answer to what grpc's description wants.
func unary[Req, Resp any](service, name string, call func(context.Context, *Req) (Resp, error)) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		req := new(Req)
		if err := decode(req); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/" + service + "/" + name}
		return intercept(ctx, req, info, func(ctx context.Context, _ any) (any, error) { return call(ctx, req) })
	}
}
