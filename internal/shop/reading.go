package shop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Answer is one item, with the position that it includes.
type Answer[V any] struct {
	Shown V
	query.Answer
}

// Page selects a part of a list.
type Page struct {
	Cursor *string // Next of the page before; nil: the first
	Limit  int     // 0: 50
}

const defaultLimit = 50

// List is one page. Next is nil on the last.
type List[V any] struct {
	Items []V
	Next  *string
	query.Answer
}

// one reads one item. what names its kind in a refusal.
func one[V any](ctx context.Context, ask query.Ask, key string, get func(context.Context, query.Ask, string) (*V, query.Answer, error),
	missing es.Code, what string,
) (Answer[V], error) {
	if err := sound(ask); err != nil {
		return Answer[V]{}, err
	}
	row, answer, err := get(ctx, ask, key)
	switch {
	case err != nil:
		return Answer[V]{}, err
	case row == nil:
		return Answer[V]{}, notFound(ask, missing, what, key)
	}
	return Answer[V]{*row, answer}, nil
}

// list reads one page. A cursor is valid for one filter at one moment. read returns the rows after the keys of a cursor (nil: from the first),
// and the keys of the next page's cursor (nil: this is the last page).
func list[V any](ask query.Ask, page Page, filter string, keys int, read func(after []string, limit int) (rows []V, next []string, answer query.Answer, err error)) (List[V], error) {
	if err := sound(ask); err != nil {
		return List[V]{}, err
	}
	filter += momentKey(ask)
	from, err := after(page.Cursor, filter, keys)
	if err != nil {
		return List[V]{}, err
	}
	if page.Limit == 0 {
		page.Limit = defaultLimit
	}
	rows, next, answer, err := read(from, page.Limit)
	if err != nil {
		return List[V]{}, err
	}
	out := List[V]{Items: rows, Answer: answer}
	if next != nil {
		out.Next = cursorAt(filter, next...)
	}
	return out, nil
}

// sound refuses a moment in the future, and a revision together with a time.
func sound(ask query.Ask) error {
	if ask.Revision != nil && (ask.AsOf != nil || ask.KnownAt != nil) {
		return Refuse("malformed_parameter", "version and a time cannot be asked together").At("version", "either", "is given beside as_of or known_at")
	}
	for _, at := range []struct {
		name string
		time *time.Time
	}{{"as_of", ask.AsOf}, {"known_at", ask.KnownAt}} {
		if err := notAhead(at.name, at.time); err != nil {
			return err
		}
	}
	return nil
}

// notAhead refuses a time in the future. Clocks differ a little.
func notAhead(name string, t *time.Time) error {
	if t != nil && t.After(time.Now().Add(5*time.Second)) {
		return Refuse("bad_time", "%s lies in the future", name).At(name, "future", "lies more than 5 s in the future")
	}
	return nil
}

// notFound distinguishes an item that never existed from one that did not exist at the requested moment.
func notFound(ask query.Ask, missing es.Code, what, key string) error {
	if ask.Past() {
		return Refuse("not_found_at", "there is no %s %s then", what, key)
	}
	return Refuse(missing, "there is no %s %s", what, key)
}

// momentKey binds a cursor to the moment of its list.
func momentKey(ask query.Ask) string {
	return "/" + formatted(ask.AsOf, time.RFC3339Nano) + "/" + formatted(ask.KnownAt, time.RFC3339Nano)
}

// formatted is "" for a time that was not given.
func formatted(t *time.Time, layout string) string {
	if t == nil {
		return ""
	}
	return t.Format(layout)
}

// cursor is the end of a page, for one filter. It is opaque to callers.
type cursor struct {
	Filter string   `json:"f"`
	After  []string `json:"a"`
}

func badCursor() *Refusal { return Refuse("bad_cursor", "the cursor is not one of this list") }

// after decodes a cursor, which must have this filter and n keys; nil if none was given.
func after(given *string, filter string, n int) ([]string, error) {
	if given == nil {
		return nil, nil
	}
	bad := badCursor().At("cursor", "format", "must be `next` of a page of the same filter")
	b, err := base64.RawURLEncoding.DecodeString(*given)
	if err != nil {
		return nil, bad
	}
	var c cursor
	if err := json.Unmarshal(b, &c); err != nil || c.Filter != filter || len(c.After) != n {
		return nil, bad
	}
	if slices.ContainsFunc(c.After, func(key string) bool { return strings.ContainsRune(key, 0) }) { // Postgres refuses NUL
		return nil, bad
	}
	return c.After, nil
}

func cursorAt(filter string, keys ...string) *string {
	b, err := json.Marshal(cursor{filter, keys})
	if err != nil { // strings
		panic(err)
	}
	return new(base64.RawURLEncoding.EncodeToString(b))
}
