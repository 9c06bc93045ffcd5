package eventserver

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/daybook-dev/daybook/internal/eventserver/access"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// A secured server learns who calls from HTTP basic authentication, before anything else. An anonymous caller may ask what
// clients ask before they can know whom they talk to; the rest is each method's to decide. An insecure server asks for no credentials.

var openMethods = []string{"/event_store.client.server_features.", "/event_store.client.gossip."}

type callerKey struct{}

func callerOf(ctx context.Context) *access.Caller {
	c, _ := ctx.Value(callerKey{}).(*access.Caller)
	return c
}

func accessDenied() *failure {
	return &failure{codes.PermissionDenied, "Access Denied", []string{trailerException, "access-denied"}}
}

func unauthenticated() *failure {
	return &failure{codes.Unauthenticated, "Unauthenticated", []string{trailerException, "not-authenticated"}}
}

// authenticate tells who calls: an anonymous caller, if no name is given.
func (s *Server) authenticate(ctx context.Context, method string) (context.Context, error) {
	for _, prefix := range openMethods {
		if strings.HasPrefix(method, prefix) {
			return ctx, nil
		}
	}
	md, _ := metadata.FromIncomingContext(ctx)
	headers := md.Get("authorization")
	if len(headers) == 0 {
		return ctx, nil
	}
	name, password, ok := basic(headers)
	if !ok {
		return ctx, unauthenticated()
	}
	who, err := s.access.Authenticate(ctx, name, password)
	if errors.Is(err, access.ErrUnauthenticated) {
		return ctx, unauthenticated()
	}
	if err != nil {
		return ctx, failureOf("", err)
	}
	return context.WithValue(ctx, callerKey{}, who), nil
}

const maxAuthorization = 8 << 10

// basic reads the header of HTTP basic authentication.
func basic(headers []string) (name, password string, ok bool) {
	const scheme = "basic "
	if len(headers) != 1 || len(headers[0]) > maxAuthorization || len(headers[0]) < len(scheme) || !strings.EqualFold(headers[0][:len(scheme)], scheme) {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(headers[0][len(scheme):])
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(decoded), ":")
}

func (s *Server) authenticateUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	known, err := s.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, end(unaryTrailers{ctx}, err)
	}
	return next(known, req)
}

func (s *Server) authenticateStream(srv any, st grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	known, err := s.authenticate(st.Context(), info.FullMethod)
	if err != nil {
		if info.IsClientStream && !info.IsServerStream {
			hearOut(st, s.cfg.MaxAppendBytes)
		}
		return end(st, err)
	}
	return next(srv, &knownStream{st, known})
}

// hearOut receives what a client wants to append before that is refused: the Go client takes an answer that comes while it
// sends for a broken connection. limit is in bytes of data; who sends more is cut short.
func hearOut(st grpc.ServerStream, limit int) {
	for size := 0; size <= limit; {
		var m wire.AppendReq
		if st.RecvMsg(&m) != nil {
			return // io.EOF: it has said everything
		}
		size += len(m.Event.Data) + len(m.Event.Meta)
	}
}

// knownStream is a call of which is known who makes it.
type knownStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // that is how grpc hands a stream's context on
}

// Context implements grpc.ServerStream.
func (k *knownStream) Context() context.Context { return k.ctx }

// may tells whether the caller may do something to a stream.
func (s *Server) may(ctx context.Context, a access.Action, stream string) error {
	if s.access == nil {
		return nil
	}
	err := s.access.Check(ctx, callerOf(ctx), a, stream)
	if errors.Is(err, access.ErrDenied) {
		return accessDenied()
	}
	if err != nil {
		return failureOf(stream, err)
	}
	return nil
}

// mayAppend tells whether the caller may append events to a stream, and whether those that say who may do what can be
// understood.
func (s *Server) mayAppend(ctx context.Context, p *pending) error {
	if s.access == nil {
		return nil
	}
	if err := s.may(ctx, access.Write, p.stream); err != nil {
		return err
	}
	if access.Matters(p.stream) {
		for i := range p.events {
			if err := access.CheckMetadata(p.stream, p.events[i].JSON, p.events[i].Data); err != nil {
				return invalid("%v", err)
			}
		}
	}
	return nil
}

// identified asks for any user.
func (s *Server) identified(ctx context.Context) error {
	if s.access != nil && callerOf(ctx) == nil {
		return accessDenied()
	}
	return nil
}

// operates asks for a user who may run the server.
func (s *Server) operates(ctx context.Context) error {
	if s.access != nil && !callerOf(ctx).Operator() {
		return accessDenied()
	}
	return nil
}

// administers asks for a user who may do everything.
func (s *Server) administers(ctx context.Context) error {
	if s.access != nil && !callerOf(ctx).Admin() {
		return accessDenied()
	}
	return nil
}

// changed gets the outcome of every write to a stream that may change what callers may do, after it is visible and
// before it is answered.
func (s *Server) changed(stream string, err error) {
	if s.access != nil && access.Matters(stream) {
		s.access.Changed(stream, err)
	}
}

// allChanged gets writes to any streams, after they are visible and before they are answered.
func (s *Server) allChanged() {
	if s.access != nil {
		s.access.Forget()
	}
}

// secure makes what a secured server needs, the users admin and ops among it.
func (s *Server) secure(ctx context.Context) (err error) {
	if s.cfg.TLS != nil {
		if s.access, err = access.NewControl(s.store, s.cfg.Logger); err != nil {
			return err
		}
	}
	s.users = access.NewDirectory(s.store, s.changed)
	if s.access == nil {
		return nil
	}
	created, err := s.users.Defaults(ctx, s.cfg.AdminPassword, s.cfg.OpsPassword)
	if err != nil {
		return err
	}
	for name, password := range map[string]string{"admin": s.cfg.AdminPassword, "ops": s.cfg.OpsPassword} {
		if s.cfg.PasswordsHold {
			if err := s.hold(ctx, name, password); err != nil {
				return err
			}
		}
		if password == defaultPassword && slices.Contains(created, name) {
			s.cfg.Logger.Warn("a user was created with the password that everybody knows: change it", "user", name)
		}
	}
	return nil
}

// hold gives a user the password that is to hold, unless he has it. One that was deleted is made anew.
func (s *Server) hold(ctx context.Context, name, password string) error {
	_, err := s.access.Authenticate(ctx, name, password)
	if !errors.Is(err, access.ErrUnauthenticated) {
		return err
	}
	group := map[string]string{"admin": access.Admins, "ops": access.Operations}[name]
	err = s.users.Create(ctx, name, password, name, []string{group})
	if err == nil || errors.Is(err, access.ErrUserExists) {
		err = errors.Join(s.users.Enable(ctx, name, true), s.users.SetPassword(ctx, name, nil, password))
	}
	if err != nil {
		return fmt.Errorf("set the password of %s: %w", name, err)
	}
	return nil
}
