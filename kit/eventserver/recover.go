package eventserver

import (
	"context"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// A call that panics ends with an error; the program that embeds the server lives on. The store's writer is not among the calls: a
// panic there ends the process, because what it was about to write is unknown.

func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(info.FullMethod, p)
		}
	}()
	return next(ctx, req)
}

func (s *Server) recoverStream(srv any, st grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(info.FullMethod, p)
		}
	}()
	return next(srv, st)
}

func (s *Server) panicked(method string, p any) error {
	s.cfg.Logger.Error("a call panicked", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return (&failure{code: codes.Internal, text: "internal error"}).GRPCStatus().Err()
}
