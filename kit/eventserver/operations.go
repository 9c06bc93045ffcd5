package eventserver

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

const operationsService = "event_store.client.operations.Operations"

// operationsDesc is the Operations service, for admins and operators. What is about a cluster is answered as a cluster of one
// answers it.
func operationsDesc(s *Server) *grpc.ServiceDesc {
	d := &grpc.ServiceDesc{ServiceName: operationsService, Metadata: "operations.proto", Methods: []grpc.MethodDesc{
		{MethodName: "StartScavenge", Handler: operation("StartScavenge", s, func(context.Context, *options) (raw, error) {
			id, started, err := s.scavenges.start()
			if err != nil {
				return nil, failureOf("", err)
			}
			if !started {
				return scavengeMessage(id, scavengeInProgress), nil
			}
			return scavengeMessage(id, scavengeStarted), nil
		})},
		{MethodName: "StopScavenge", Handler: operation("StopScavenge", s, func(ctx context.Context, o *options) (raw, error) {
			id, err := s.scavenges.stop(ctx, o.text[1])
			if err != nil {
				return nil, err
			}
			return scavengeMessage(id, scavengeStopped), nil
		})},
		{MethodName: "SetNodePriority", Handler: operation("SetNodePriority", s, func(_ context.Context, p *priority) (*shared.Empty, error) {
			s.cfg.Logger.Info("this server's priority was set, which means nothing to a cluster of one", "priority", p.n)
			return &shared.Empty{}, nil
		})},
	}}
	for name, call := range map[string]func() error{
		"Shutdown": s.shutdown,
		"MergeIndexes": func() error {
			return nil // the storage engine does that by itself, always
		},
		"ResignNode": func() error {
			s.cfg.Logger.Info("this server was asked to resign, but there is no other")
			return nil
		},
		"RestartPersistentSubscriptions": func() error { return s.groups.m.Restart() },
	} {
		d.Methods = append(d.Methods, grpc.MethodDesc{MethodName: name, Handler: operation(name, s,
			func(context.Context, *shared.Empty) (*shared.Empty, error) { return &shared.Empty{}, call() })})
	}
	return d
}

// operation is a method for those who may run the server.
func operation[Req, Resp any](name string, s *Server, call func(context.Context, *Req) (Resp, error)) grpc.MethodHandler {
	return unary(operationsService, name, func(ctx context.Context, r *Req) (resp Resp, err error) {
		if err = s.operates(ctx); err == nil {
			resp, err = call(ctx, r)
		}
		if err != nil {
			return resp, end(unaryTrailers{ctx}, err)
		}
		return resp, nil
	})
}

func (s *Server) shutdown() error {
	if s.cfg.Shutdown == nil {
		return &failure{code: codes.FailedPrecondition, text: "this server is not to be shut down over the network"}
	}
	s.cfg.Logger.Info("the server was asked to shut down")
	go s.cfg.Shutdown()
	return nil
}

// priority is SetNodePriorityReq.
type priority struct{ n int32 }

// Decode implements wire.Decoder.
func (p *priority) Decode(b []byte) error {
	return fields(b, func(num protowire.Number, _ []byte, n uint64) error {
		if num == 1 {
			p.n = int32(n) //nolint:gosec // the low bits, as protobuf has it
		}
		return nil
	})
}

const (
	scavengeStarted = iota
	scavengeInProgress
	scavengeStopped
)

func scavengeMessage(id string, result uint64) raw {
	return appendNumber(appendText(nil, 1, id), 2, result)
}
