package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// Action is something done to a stream.
type Action int

// Actions; those on a metadata stream count as metadata actions on the stream it describes.
const (
	Read Action = iota
	Write
	Delete
	metaRead
	metaWrite
	actions
)

// What the lists name beside users and groups of one's own.
const (
	Everybody  = "$all"
	Admins     = "$admins"
	Operations = "$ops"
)

// acl says for each action who may do it: users or groups; nil where it says nothing.
type acl [actions][]string

var aclNames = [actions]string{Read: "$r", Write: "$w", Delete: "$d", metaRead: "$mr", metaWrite: "$mw"}

func everyAction(role string) (a acl) {
	for i := range a {
		a[i] = []string{role}
	}
	return a
}

// Lists are kept in memory: each is bounded.
const (
	maxRoles    = 1000
	maxRoleName = 1024
)

// parseACL reads an access control list: for each action a name or a list of names.
func parseACL(raw json.RawMessage) (*acl, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, errors.New("it is not an object")
	}
	var a acl
	total := 0
	for name, value := range fields {
		i := slices.Index(aclNames[:], name)
		if i < 0 {
			return nil, fmt.Errorf("%.20q is no right", name)
		}
		var one string
		roles := []string{}
		switch {
		case string(value) == "null":
			return nil, fmt.Errorf("%s is neither a name nor a list of names", name)
		case json.Unmarshal(value, &one) == nil:
			roles = []string{one}
		case json.Unmarshal(value, &roles) != nil:
			return nil, fmt.Errorf("%s is neither a name nor a list of names", name)
		}
		for _, role := range roles {
			if len(role) > maxRoleName {
				return nil, fmt.Errorf("%s has a name of %d bytes, the limit is %d", name, len(role), maxRoleName)
			}
		}
		if total += len(roles); total > maxRoles {
			return nil, fmt.Errorf("it has more than %d names", maxRoles)
		}
		a[i] = roles
	}
	return &a, nil
}

// fields are those of the names of an object, read as the limits beside them are. A client says of an event that is no JSON that it
// holds no fields; if it does hold them, they count nevertheless.
func fields(isJSON bool, data []byte, names ...string) (map[string]json.RawMessage, error) {
	found := map[string]json.RawMessage{}
	err := store.MetadataFields(data, func(name string, value json.RawMessage) error {
		if slices.Contains(names, name) {
			found[name] = value
		}
		return nil
	})
	if err != nil && len(data) > 0 && (isJSON || len(found) > 0) {
		return nil, err
	}
	return found, nil
}

// metadataACL is the access control list in a metadata event's data, nil if there is none. In metadata that cannot be read there may
// be one.
func metadataACL(isJSON bool, data []byte) (*acl, error) {
	found, err := fields(isJSON, data, "$acl")
	if err != nil {
		return nil, fmt.Errorf("it cannot be understood: %w", err)
	}
	raw, ok := found["$acl"]
	if !ok {
		return nil, nil //nolint:nilnil // no list is no error
	}
	a, err := parseACL(raw)
	if err != nil {
		return nil, fmt.Errorf("$acl cannot be understood: %w", err)
	}
	return a, nil
}

// settings are the defaults in the newest event of $settings.
type settings struct{ user, system *acl }

func parseSettings(isJSON bool, data []byte) (s settings, err error) {
	const user, system = "$userStreamAcl", "$systemStreamAcl"
	found, err := fields(isJSON, data, user, system)
	if err != nil {
		return s, fmt.Errorf("they cannot be understood: %w", err)
	}
	for name, raw := range found {
		a, err := parseACL(raw)
		if err != nil {
			return settings{}, fmt.Errorf("%s cannot be understood: %w", name, err)
		}
		if name == user {
			s.user = a
		} else {
			s.system = a
		}
	}
	return s, nil
}
