package query

import (
	"encoding/base64"
	"encoding/json"
	"testing"
)

// A time before the year 1 in UTC is refused, wherever its offset puts it, and one after it is not.
func TestMomentsAreOfOurEra(t *testing.T) {
	for value, taken := range map[string]bool{
		"0001-01-01T00:00:00Z": true, "0001-01-01T00:00:00-23:59": true, "0001-01-01T01:00:00+01:00": true, "0000-12-31T23:59:59-00:01": true,
		"0001-01-01T00:00:00+00:01": false, "0000-12-31T23:59:59Z": false, "0001-01-01T00:00:00+23:59": false, "9999-12-31T23:59:59-23:59": false,
	} {
		at, err := moment("as_of", &value)
		if (err == nil) != taken || taken && (at == nil || at.UTC().Year() != 1) {
			t.Errorf("%s: %v %v", value, at, err)
		}
	}
}

// A cursor that was made up is refused, not handed to Postgres.
func TestCursorsThatWereMadeUp(t *testing.T) {
	made := func(c any) *string {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return new(base64.RawURLEncoding.EncodeToString(b))
	}
	if keys, err := after(next("f", "a", "b"), "f", 2); err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	for name, c := range map[string]*string{
		"of another filter": next("g", "a", "b"), "of fewer keys": next("f", "a"), "of more keys": next("f", "a", "b", "c"), "with U+0000": next("f", "a", "b\x00"),
		"null": made(nil), "a number": made(1), "no texts": made(map[string]any{"f": "f", "a": []int{1, 2}}), "no JSON": new("e30x"), "not base64": new("***"), "empty": new(""),
	} {
		if keys, err := after(c, "f", 2); err == nil {
			t.Errorf("%s: %v", name, keys)
		}
	}
}
