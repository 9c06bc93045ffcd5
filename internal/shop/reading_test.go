package shop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// A cursor that was made up is refused, not handed to Postgres.
func TestCursorsThatWereMadeUp(t *testing.T) {
	made := func(c any) *string {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return new(base64.RawURLEncoding.EncodeToString(b))
	}
	if keys, err := after(cursorAt("f", "a", "b"), "f", 2); err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	for name, c := range map[string]*string{
		"of another filter": cursorAt("g", "a", "b"), "of fewer keys": cursorAt("f", "a"), "of more keys": cursorAt("f", "a", "b", "c"), "with U+0000": cursorAt("f", "a", "b\x00"),
		"null": made(nil), "a number": made(1), "no texts": made(map[string]any{"f": "f", "a": []int{1, 2}}), "no JSON": new("e30x"), "not base64": new("***"), "empty": new(""),
	} {
		if keys, err := after(c, "f", 2); err == nil {
			t.Errorf("%s: %v", name, keys)
		}
	}
}

// The first moment there is, and the first revision, are other questions than none: a cursor of one list is no cursor of the other.
func TestCursorsBelongToTheirMoment(t *testing.T) {
	first := time.Time{}
	asks := []query.Ask{{}, {Moment: query.Moment{AsOf: &first}}, {Moment: query.Moment{KnownAt: &first}}}
	for i, of := range asks {
		for j, at := range asks {
			_, err := list(at, Page{Cursor: cursorAt("f"+momentKey(of), "k")}, "f", 1, func([]string, int) ([]int, []string, query.Answer, error) {
				return nil, nil, query.Answer{}, nil
			})
			if (err == nil) != (i == j) {
				t.Errorf("a cursor of %d at %d: %v", i, j, err)
			}
		}
	}
}

// A moment that nothing can be said about is refused before anything is read, of one thing as of a list.
func TestUnsoundMomentsAreRefused(t *testing.T) {
	later, now, revision := time.Now().Add(time.Hour), time.Now(), uint64(3)
	for _, tt := range []struct {
		moment query.Moment
		code   es.Code
		field  string
	}{
		{query.Moment{AsOf: &later}, "bad_time", "as_of"}, {query.Moment{AsOf: &now, KnownAt: &later}, "bad_time", "known_at"},
		{query.Moment{AsOf: &now, Revision: &revision}, "malformed_parameter", "version"},
		{query.Moment{KnownAt: &now, Revision: &revision}, "malformed_parameter", "version"},
	} {
		ask := query.Ask{Moment: tt.moment}
		_, single := one(t.Context(), ask, "k", func(context.Context, query.Ask, string) (*int, query.Answer, error) {
			t.Error("it was read")
			return nil, query.Answer{}, nil
		}, "order_not_found", "order")
		_, page := list(ask, Page{}, "f", 1, func([]string, int) ([]int, []string, query.Answer, error) {
			t.Error("it was read")
			return nil, nil, query.Answer{}, nil
		})
		for _, err := range []error{single, page} {
			if r := RefusalOf(err); r.Code != tt.code || len(r.Faults) != 1 || r.Faults[0].Field != tt.field {
				t.Errorf("%+v: %v", tt, err)
			}
		}
	}
}
