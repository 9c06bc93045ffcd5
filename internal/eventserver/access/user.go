package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

var (
	// ErrNoUser: there is no such user.
	ErrNoUser = errors.New("no such user")
	// ErrUserExists: there is such a user already, or it was just changed by somebody else.
	ErrUserExists = errors.New("user exists or was just changed")
	// ErrBadUser: a name, password or group can never be accepted.
	ErrBadUser = errors.New("invalid user")
)

// User is a user as stored.
type User struct {
	LoginName string   `json:"loginName"`
	FullName  string   `json:"fullName"`
	Groups    []string `json:"groups"`
	Hash      string   `json:"hash"` // base64, PBKDF2
	Salt      string   `json:"salt"` // base64
	Disabled  bool     `json:"disabled"`

	Updated time.Time `json:"-"` // when it last changed
}

const (
	adminName = "admin"
	opsName   = "ops"

	userPrefix      = "$user-"
	usersStream     = "$users"
	changesStream   = "$users-password-notifications"
	changesMetadata = `{"$maxAge":3600}`
)

const (
	maxName     = 256
	maxPassword = 1024
	maxFullName = 1024
	maxGroups   = 100
)

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the login name is empty", ErrBadUser)
	case len(name) > maxName:
		return fmt.Errorf("%w: the login name has %d bytes, the limit is %d", ErrBadUser, len(name), maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r == ':' || unicode.IsControl(r) }):
		return fmt.Errorf("%w: the login name has a colon or a character that is not printed", ErrBadUser)
	}
	return nil
}

func checkPassword(password string) error {
	switch {
	case password == "":
		return fmt.Errorf("%w: the password is empty", ErrBadUser)
	case len(password) > maxPassword:
		return fmt.Errorf("%w: the password has %d bytes, the limit is %d", ErrBadUser, len(password), maxPassword)
	}
	return nil
}

func checkDetails(fullName string, groups []string) error {
	switch {
	case len(fullName) > maxFullName:
		return fmt.Errorf("%w: the full name has %d bytes, the limit is %d", ErrBadUser, len(fullName), maxFullName)
	case len(groups) > maxGroups:
		return fmt.Errorf("%w: %d groups, the limit is %d", ErrBadUser, len(groups), maxGroups)
	}
	for _, g := range groups {
		if g == "" || len(g) > maxName {
			return fmt.Errorf("%w: a group's name has %d bytes, it must have between 1 and %d", ErrBadUser, len(g), maxName)
		}
	}
	return nil
}

// load reads a user and the revision of its stream; ErrNoUser also with a revision, from which a new user goes on.
func load(ctx context.Context, st *store.Store, name string) (*User, int64, error) {
	var u *User
	var bad error
	last, err := newest(ctx, st, userPrefix+name, func(r *store.Record) {
		u = &User{Updated: time.Unix(0, r.Created*100)}
		if bad = json.Unmarshal(r.Data, u); bad == nil && u.LoginName != name {
			bad = errors.New("it has another name")
		}
	})
	switch {
	case err != nil:
		return nil, last, fmt.Errorf("read user %q: %w", name, err)
	case bad != nil:
		return nil, last, fmt.Errorf("%w: user %q as stored: %w", ErrNoUser, name, bad)
	case u == nil:
		return nil, last, ErrNoUser
	}
	return u, last, nil
}
