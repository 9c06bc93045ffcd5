package access

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// Directory is the users of a store. Each change is one event; of two at once one fails with ErrUserExists.
type Directory struct {
	st      *store.Store
	changed func(stream string, err error)
}

// NewDirectory gives the users of a store; changed is called with the streams that it wrote, after that is visible, or failed.
func NewDirectory(st *store.Store, changed func(stream string, err error)) *Directory {
	return &Directory{st, changed}
}

// Defaults creates the users admin and ops where there never was such a user, and tells whom it created. A crash in
// between leaves the rest to the next call.
func (d *Directory) Defaults(ctx context.Context, adminPassword, opsPassword string) (created []string, err error) {
	for _, x := range []struct{ name, full, group, password string }{
		{adminName, "Event Store Administrator", Admins, adminPassword},
		{opsName, "Event Store Operations", Operations, opsPassword},
	} {
		v, err := d.st.View(ctx, userPrefix+x.name)
		if err != nil {
			return created, fmt.Errorf("look for user %s: %w", x.name, err)
		}
		if v.Last >= 0 {
			continue
		}
		if err := d.Create(ctx, x.name, x.password, x.full, []string{x.group}); err != nil {
			return created, fmt.Errorf("create user %s: %w", x.name, err)
		}
		created = append(created, x.name)
	}
	return created, nil
}

// Create adds a user. A repeat with the same password changes nothing and is no error.
func (d *Directory) Create(ctx context.Context, name, password, fullName string, groups []string) error {
	if err := errors.Join(checkName(name), checkPassword(password), checkDetails(fullName, groups)); err != nil {
		return err
	}
	old, last, err := load(ctx, d.st, name)
	if err == nil {
		if old.fits(password) {
			return nil
		}
		return ErrUserExists
	}
	if !errors.Is(err, ErrNoUser) {
		return err
	}
	u := &User{LoginName: name, FullName: fullName, Groups: groups}
	if err := u.setPassword(password); err != nil {
		return err
	}
	// The user itself comes last: without it the rest is nothing yet.
	acl := `{"$acl":{"$w":"` + Admins + `","$d":"` + Admins + `","$mw":"` + Admins + `"}}`
	if err := d.write(ctx, "$$"+userPrefix+name, store.ExpectAny, "$metadata", []byte(acl)); err != nil {
		return err
	}
	if err := d.write(ctx, usersStream, store.ExpectAny, "$User", []byte(name)); err != nil {
		return err
	}
	return d.put(ctx, u, "$UserCreated", last)
}

// Update changes what a user is called and the groups it belongs to.
func (d *Directory) Update(ctx context.Context, name, fullName string, groups []string) error {
	if err := checkDetails(fullName, groups); err != nil {
		return err
	}
	return d.update(ctx, name, func(u *User) error {
		u.FullName, u.Groups = fullName, groups
		return nil
	})
}

// Enable lets a user in, or not any more.
func (d *Directory) Enable(ctx context.Context, name string, on bool) error {
	return d.update(ctx, name, func(u *User) error {
		u.Disabled = !on
		return nil
	})
}

// SetPassword gives a user another password. Who is not allowed to set it just so must know the present one: if that is
// given and wrong, the error is ErrDenied.
func (d *Directory) SetPassword(ctx context.Context, name string, present *string, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	return d.update(ctx, name, func(u *User) error {
		if present != nil && (len(*present) > maxPassword || !u.fits(*present)) {
			return ErrDenied
		}
		return u.setPassword(password)
	})
}

// Delete removes a user; another of the same name may be created later.
func (d *Directory) Delete(ctx context.Context, name string) error {
	if checkName(name) != nil {
		return ErrNoUser
	}
	_, last, err := load(ctx, d.st, name)
	if err != nil {
		return err
	}
	if err := d.submit(ctx, store.Request{Kind: store.SoftDelete, Stream: userPrefix + name, Expected: store.Expected(last)}); err != nil {
		return err
	}
	return d.notify(ctx, name)
}

// Get is one user.
func (d *Directory) Get(ctx context.Context, name string) (*User, error) {
	if checkName(name) != nil {
		return nil, ErrNoUser
	}
	u, _, err := load(ctx, d.st, name)
	return u, err
}

// All are all users, by name.
func (d *Directory) All(ctx context.Context) ([]*User, error) {
	v, err := d.st.View(ctx, usersStream)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	var all []*User
	if !v.Exists {
		return nil, nil
	}
	names := map[string]bool{}
	err = d.st.ReadStream(v, 0, func(r *store.Record) bool {
		names[string(r.Data)] = true
		return ctx.Err() == nil
	})
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	for name := range names {
		u, err := d.Get(ctx, name)
		if errors.Is(err, ErrNoUser) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *User) int { return cmp.Compare(a.LoginName, b.LoginName) })
	return all, nil
}

func (d *Directory) update(ctx context.Context, name string, change func(*User) error) error {
	if checkName(name) != nil {
		return ErrNoUser
	}
	u, last, err := load(ctx, d.st, name)
	if err != nil {
		return err
	}
	if err := change(u); err != nil {
		return err
	}
	if err := d.put(ctx, u, "$UserUpdated", last); err != nil {
		return err
	}
	return d.notify(ctx, name)
}

func (d *Directory) put(ctx context.Context, u *User, kind string, last int64) error {
	if u.Groups == nil {
		u.Groups = []string{}
	}
	data, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("write user %q: %w", u.LoginName, err)
	}
	return d.write(ctx, userPrefix+u.LoginName, store.Expected(last), kind, data)
}

// notify tells the followers of the stream of changes that what they know of a user is no longer so.
func (d *Directory) notify(ctx context.Context, name string) error {
	v, err := d.st.View(ctx, changesStream)
	if err != nil {
		return fmt.Errorf("tell that user %q was changed: %w", name, err)
	}
	if v.Last < 0 {
		if err := d.write(ctx, "$$"+changesStream, store.ExpectAny, "$metadata", []byte(changesMetadata)); err != nil {
			return err
		}
	}
	data, err := json.Marshal(map[string]string{"loginName": name})
	if err != nil {
		return fmt.Errorf("tell that user %q was changed: %w", name, err)
	}
	return d.write(ctx, changesStream, store.ExpectAny, "$PasswordChanged", data)
}

func (d *Directory) write(ctx context.Context, stream string, at store.Expected, kind string, data []byte) error {
	return d.submit(ctx, store.Request{Stream: stream, Expected: at,
		Events: []store.Event{{ID: store.ID(uuid.New()), Type: kind, JSON: kind != "$User", Data: data}}})
}

func (d *Directory) submit(ctx context.Context, r store.Request) error {
	done := make(chan error, 1)
	r.Done = func(res store.Result) {
		d.changed(r.Stream, res.Err)
		done <- res.Err
	}
	d.st.Submit(&store.Source{}, &r)
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if _, ok := errors.AsType[*store.WrongVersionError](err); ok || errors.Is(err, store.ErrDeleted) {
		return ErrUserExists
	}
	if err != nil {
		return fmt.Errorf("write stream %q: %w", r.Stream, err)
	}
	return nil
}
