package eventserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// guard asks for a user's name and password, as HTTP basic authentication has them. Who is let in may do everything. What
// clients ask before they can know whom they talk to is open.
type guard map[string][sha256.Size]byte

func newGuard(users map[string]string) guard {
	if len(users) == 0 {
		return nil
	}
	g := guard{}
	for name, password := range users {
		g[name] = sha256.Sum256([]byte(password))
	}
	return g
}

var openMethods = []string{"/event_store.client.server_features.", "/event_store.client.gossip."}

func (g guard) check(ctx context.Context, method string) error {
	if g == nil {
		return nil
	}
	for _, prefix := range openMethods {
		if strings.HasPrefix(method, prefix) {
			return nil
		}
	}
	refused := &failure{code: codes.Unauthenticated, text: "name and password of a user are needed"}
	md, _ := metadata.FromIncomingContext(ctx)
	headers := md.Get("authorization")
	if len(headers) != 1 || len(headers[0]) < len("basic ") || !strings.EqualFold(headers[0][:len("basic ")], "basic ") {
		return refused.GRPCStatus().Err()
	}
	decoded, err := base64.StdEncoding.DecodeString(headers[0][len("basic "):])
	if err != nil {
		return refused.GRPCStatus().Err()
	}
	name, password, _ := strings.Cut(string(decoded), ":")
	want, known := g[name]
	got := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 || !known {
		return refused.GRPCStatus().Err()
	}
	return nil
}

func (g guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := g.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g guard) stream(srv any, st grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.check(st.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, st)
}
