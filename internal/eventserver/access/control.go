package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

var (
	// ErrDenied: the caller may not do that.
	ErrDenied = errors.New("access denied")
	// ErrUnauthenticated: the name, or the password, is wrong, or the user is disabled. It does not say which.
	ErrUnauthenticated = errors.New("not authenticated")
)

// Caller is a user who makes a call. Nil is an anonymous one.
type Caller struct {
	Name   string
	groups []string
}

func (c *Caller) is(role string) bool {
	return c != nil && (c.Name == role || slices.Contains(c.groups, role))
}

// Admin tells whether the caller may do everything.
func (c *Caller) Admin() bool { return c.is(adminName) || c.is(Admins) }

// Operator tells whether the caller may run the server.
func (c *Caller) Operator() bool { return c.Admin() || c.is(opsName) || c.is(Operations) }

// Control decides on calls to one store. It may be used from several goroutines.
type Control struct {
	st       *store.Store
	log      *slog.Logger
	verifier *verifier
	decoy    *User // whose password is compared with where there is no user, so that it takes as long
	acls     *cache[string, *acl]
	settings *cache[string, settings]
	users    *cache[string, *User]
}

const (
	keptACLs  = 10_000
	keptUsers = 1_000
)

// NewControl makes a control of a store that is open.
func NewControl(st *store.Store, log *slog.Logger) (*Control, error) {
	v, err := newVerifier()
	if err != nil {
		return nil, err
	}
	decoy := &User{}
	if err := decoy.setPassword("decoy"); err != nil {
		return nil, err
	}
	return &Control{st: st, log: log, verifier: v, decoy: decoy, acls: newCache[string, *acl](keptACLs),
		settings: newCache[string, settings](1), users: newCache[string, *User](keptUsers)}, nil
}

// Authenticate tells who has this name and password. Errors are ErrUnauthenticated, the context's and the store's.
func (c *Control) Authenticate(ctx context.Context, name, password string) (*Caller, error) {
	if checkName(name) != nil || len(password) > maxPassword {
		return nil, ErrUnauthenticated
	}
	u, err := c.users.get(name, func() (*User, error) {
		u, _, err := load(ctx, c.st, name)
		if errors.Is(err, ErrNoUser) {
			return nil, nil //nolint:nilnil // no user is worth being remembered, too
		}
		return u, err
	})
	if err != nil {
		return nil, err
	}
	compared := u
	if compared == nil {
		compared = c.decoy
	}
	ok, err := c.verifier.verify(ctx, compared, password)
	switch {
	case err != nil:
		return nil, err
	case !ok || u == nil || u.Disabled:
		return nil, ErrUnauthenticated
	}
	return &Caller{Name: u.LoginName, groups: u.Groups}, nil
}

// Check tells whether the caller may do something to a stream: nil, ErrDenied or an error of the store.
func (c *Control) Check(ctx context.Context, who *Caller, a Action, stream string) error {
	if of, ok := described(stream); ok {
		switch stream = of; a {
		case Read:
			a = metaRead
		case Write:
			a = metaWrite
		default:
			return ErrDenied // metadata goes with its stream
		}
	} else if stream == allStream && a != Read {
		return ErrDenied
	}
	if who == nil {
		return ErrDenied
	}
	if who.Admin() {
		return nil
	}
	roles, err := c.roles(ctx, a, stream)
	if err != nil {
		return err
	}
	for _, role := range roles {
		if role == Everybody || who.is(role) {
			return nil
		}
	}
	return ErrDenied
}

func (c *Control) roles(ctx context.Context, a Action, stream string) ([]string, error) {
	own, err := c.acls.get(stream, func() (*acl, error) { return c.loadACL(ctx, stream) })
	if err != nil {
		return nil, err
	}
	if own != nil && own[a] != nil {
		return own[a], nil
	}
	if stream == store.IncarnationStream && a == Read {
		return []string{Everybody}, nil // a reader that keeps a place in the log must know which log it is
	}
	set, err := c.settings.get(settingsStream, func() (settings, error) { return c.loadSettings(ctx) })
	if err != nil {
		return nil, err
	}
	common, builtin := set.user, Everybody
	if strings.HasPrefix(stream, "$") {
		common, builtin = set.system, Admins
	}
	if common != nil && common[a] != nil {
		return common[a], nil
	}
	return []string{builtin}, nil
}

func (c *Control) loadACL(ctx context.Context, stream string) (*acl, error) {
	var a *acl
	_, err := newest(ctx, c.st, "$$"+stream, func(r *store.Record) {
		var err error
		if a, err = metadataACL(r.JSON, r.Data); err != nil {
			c.log.Warn("only admins may use a stream", "stream", stream, "error", err)
			only := everyAction(Admins)
			a = &only
		}
	})
	return a, err
}

func (c *Control) loadSettings(ctx context.Context) (set settings, err error) {
	_, err = newest(ctx, c.st, settingsStream, func(r *store.Record) {
		var bad error
		if set, bad = parseSettings(r.JSON, r.Data); bad != nil {
			c.log.Warn("only admins may use streams without an access control list", "error", bad)
			only := everyAction(Admins)
			set = settings{&only, &only}
		}
	})
	return set, err
}

const (
	allStream      = "$all"
	settingsStream = "$settings"
)

// described is the stream that a metadata stream describes.
func described(stream string) (string, bool) {
	of, ok := strings.CutPrefix(stream, "$$")
	return of, ok && of != ""
}

// Matters tells whether a change of a stream may change what callers may do.
func Matters(stream string) bool {
	return strings.HasPrefix(stream, "$$") || stream == settingsStream || strings.HasPrefix(stream, userPrefix)
}

// Changed forgets what a change of a stream, whose outcome is err, may have changed. It does not block. A change of which
// whose outcome is unknown, because the disk is full, ends the keeping altogether.
func (c *Control) Changed(stream string, err error) {
	if errors.Is(err, store.ErrUnknown) {
		c.acls.stop()
		c.settings.stop()
		c.users.stop()
		return
	}
	if of, ok := described(stream); ok {
		c.acls.drop(of)
		stream = of // its limits may hide what it said
	}
	if stream == settingsStream {
		c.settings.drop(settingsStream)
	}
	if name, ok := strings.CutPrefix(stream, userPrefix); ok {
		c.users.drop(name)
	}
}

// Forget forgets everything that any change may have changed.
func (c *Control) Forget() {
	c.acls.clear()
	c.settings.clear()
	c.users.clear()
}

// CheckMetadata refuses metadata and settings that cannot be understood, or whose access control lists cannot.
func CheckMetadata(stream string, isJSON bool, data []byte) error {
	if _, ok := described(stream); ok {
		if _, err := metadataACL(isJSON, data); err != nil {
			return fmt.Errorf("metadata of stream %.100q: %w", stream[2:], err)
		}
	}
	if stream == settingsStream {
		if _, err := parseSettings(isJSON, data); err != nil {
			return fmt.Errorf("settings: %w", err)
		}
	}
	return nil
}

// newest visits the newest event of a stream, if there is one, and gives its revision, or that of the last there was; -1 if
// there never was any.
func newest(ctx context.Context, st *store.Store, stream string, visit func(*store.Record)) (int64, error) {
	v, err := st.View(ctx, stream)
	if err != nil || !v.Exists {
		return v.Last, err
	}
	return v.Last, st.ReadStreamBackwards(v, v.Last, func(r *store.Record) bool {
		visit(r)
		return false
	})
}
