package eventserver

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/daybook-dev/daybook/internal/eventserver/access"
)

const usersService = "event_store.client.users.Users"

// The options of a request about a user, by field number: the login name, then what the method takes.
const (
	loginName       = 1
	firstPassword   = 2 // the new one or, of ChangePassword, the present one
	fullName        = 3
	changedPassword = 3
)

// usersDesc is the Users service. Only admins may use it, but that everybody may see himself and change his password if he knows
// it.
func usersDesc(s *Server) *grpc.ServiceDesc {
	d := &grpc.ServiceDesc{ServiceName: usersService, Metadata: "users.proto", Streams: []grpc.StreamDesc{
		{StreamName: "Details", ServerStreams: true, Handler: func(_ any, st grpc.ServerStream) error { return end(st, s.userDetails(st)) }},
	}}
	for name, call := range map[string]func(context.Context, *options) error{
		"Create": func(ctx context.Context, o *options) error {
			return s.users.Create(ctx, o.text[loginName], o.text[firstPassword], o.text[fullName], o.list)
		},
		"Update": func(ctx context.Context, o *options) error {
			return s.users.Update(ctx, o.text[loginName], o.text[fullName], o.list)
		},
		"Delete":  func(ctx context.Context, o *options) error { return s.users.Delete(ctx, o.text[loginName]) },
		"Disable": func(ctx context.Context, o *options) error { return s.users.Enable(ctx, o.text[loginName], false) },
		"Enable":  func(ctx context.Context, o *options) error { return s.users.Enable(ctx, o.text[loginName], true) },
		"ResetPassword": func(ctx context.Context, o *options) error {
			return s.users.SetPassword(ctx, o.text[loginName], nil, o.text[firstPassword])
		},
		"ChangePassword": func(ctx context.Context, o *options) error {
			return s.users.SetPassword(ctx, o.text[loginName], &o.text[firstPassword], o.text[changedPassword])
		},
	} {
		d.Methods = append(d.Methods, grpc.MethodDesc{MethodName: name, Handler: unary(usersService, name, func(ctx context.Context, o *options) (raw, error) {
			err := s.administers(ctx)
			if name == "ChangePassword" {
				err = s.identified(ctx)
			}
			if err == nil {
				err = userFailure(o.text[loginName], call(ctx, o))
			}
			if err != nil {
				return nil, end(unaryTrailers{ctx}, err)
			}
			return raw{}, nil
		})})
	}
	return d
}

// userFailure words errors as EventStoreDB does.
func userFailure(login string, err error) error {
	named := func(code codes.Code, text, exception string) *failure {
		return &failure{code, text, []string{trailerException, exception, "login-name", login}}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, access.ErrDenied):
		return accessDenied()
	case errors.Is(err, access.ErrNoUser):
		return named(codes.NotFound, "User '"+login+"' is not found.", "user-not-found")
	case errors.Is(err, access.ErrUserExists):
		return named(codes.FailedPrecondition, "Conflict.", "user-conflict")
	case errors.Is(err, access.ErrBadUser):
		return invalid("%v", err)
	}
	return failureOf("", err)
}

// userDetails sends one user or, if none is named, all.
func (s *Server) userDetails(st grpc.ServerStream) error {
	var o options
	if err := st.RecvMsg(&o); err != nil {
		return err
	}
	ctx, login := st.Context(), o.text[loginName]
	if err := s.administers(ctx); err != nil {
		if who := callerOf(ctx); who == nil || login != who.Name {
			return err
		}
	}
	var all []*access.User
	var err error
	if login == "" {
		all, err = s.users.All(ctx)
	} else {
		all = make([]*access.User, 1)
		all[0], err = s.users.Get(ctx, login)
	}
	if err != nil {
		return userFailure(login, err)
	}
	for _, u := range all {
		if err := st.SendMsg(userMessage(u)); err != nil {
			return err
		}
	}
	return nil
}

func userMessage(u *access.User) raw {
	b := appendText(nil, 1, u.LoginName)
	b = appendText(b, 2, u.FullName)
	for _, g := range u.Groups {
		b = appendText(b, 3, g)
	}
	b = appendMessage(b, 4, appendNumber(nil, 1, uint64(u.Updated.UnixNano()/100))) //nolint:gosec // after 1970
	if u.Disabled {
		b = appendNumber(b, 5, 1)
	}
	return appendMessage(nil, 1, b)
}
