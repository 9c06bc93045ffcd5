package api

import (
	"net/url"
	"testing"
	"time"
)

// The zero value of every parameter that a query may be given is another question than none: the first moment there is, the first
// revision, the empty cursor. Which parameters there are is openapi.yaml's to say.
func TestZeroIsNotAbsent(t *testing.T) {
	first := time.Time{}.Format(time.RFC3339)
	none, err := askOf(nil)
	if err != nil || none.Past() {
		t.Fatal(none, err)
	}
	zeroes := map[string]func() (differs bool, err error){
		"as_of": func() (bool, error) {
			ask, err := askOf(url.Values{"as_of": {first}})
			return ask.Past() && ask.AsOf != nil && ask.KnownAt == nil, err
		},
		"known_at": func() (bool, error) {
			ask, err := askOf(url.Values{"known_at": {first}})
			return ask.Past() && ask.KnownAt != nil && ask.AsOf == nil, err
		},
		"cursor": func() (bool, error) {
			page, err := pageOf(url.Values{"cursor": {""}})
			return page.Cursor != nil, err
		},
	}
	// These have no zero value that would be lawful, or mean the same with it as without: nothing is waited for.
	lawful := map[string]bool{"min_position": true, "Last-Event-ID": true, "version": true, "from": true, "to": true} // the last three are pointers to the end
	doc, err := LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		if item.Get == nil {
			continue
		}
		for _, p := range item.Get.Parameters {
			s := p.Value.Schema.Value
			differs := zeroes[p.Value.Name]
			switch {
			case differs != nil:
				if ok, err := differs(); !ok || err != nil {
					t.Errorf("%s: the zero %s is answered as none: %v", path, p.Value.Name, err)
				}
			case s.Type.Is("integer") && s.Min != nil && *s.Min > 0, s.Type.Is("string") && (s.MinLength > 0 || s.Enum != nil):
			case lawful[p.Value.Name]:
			default:
				t.Errorf("%s: nothing is said of the zero %s", path, p.Value.Name)
			}
		}
	}
}

// A time before the year 1 in UTC is refused, wherever its offset puts it, and one in it is not.
func TestMomentsAreOfOurEra(t *testing.T) {
	for value, taken := range map[string]bool{
		"0001-01-01T00:00:00Z": true, "0001-01-01T00:00:00-23:59": true, "0001-01-01T01:00:00+01:00": true, "0000-12-31T23:59:59-00:01": true,
		"0001-01-01T00:00:00+00:01": false, "0000-12-31T23:59:59Z": false, "0001-01-01T00:00:00+23:59": false,
	} {
		at, err := momentOf(url.Values{"as_of": {value}}, "as_of")
		if (err == nil) != taken || taken && (at == nil || at.UTC().Year() != 1) {
			t.Errorf("%s: %v %v", value, at, err)
		}
	}
}
