package query

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/oapi-codegen/runtime/types"

	"github.com/daybook-dev/daybook/api"
)

// The zero value of every parameter that a query may be given is another question than none: the first moment there is, the first
// revision, the empty cursor. Which parameters there are is openapi.yaml's to say.
func TestZeroIsNotAbsent(t *testing.T) {
	first := time.Time{}.Format(time.RFC3339)
	none, err := asked(nil, nil, nil)
	if err != nil || none.Past() {
		t.Fatal(none, err)
	}
	zeroes := map[string]func() (differs bool, err error){
		"as_of": func() (bool, error) {
			ask, err := asked(nil, &first, nil)
			return ask.Past() && ask.AsOf != nil && ask.KnownAt == nil && momentKey(ask) != momentKey(none), err
		},
		"known_at": func() (bool, error) {
			ask, err := asked(nil, nil, &first)
			return ask.Past() && ask.KnownAt != nil && ask.AsOf == nil && momentKey(ask) != momentKey(none), err
		},
		"cursor": func() (bool, error) {
			_, err := after(new(""), "f", 1)
			return err != nil, nil
		},
		"from": func() (bool, error) { return dateOf(nil) == nil && dateOf(day(t, "0001-01-01")) != nil, nil },
		"to":   func() (bool, error) { return dateOf(nil) == nil && dateOf(day(t, "0001-01-01")) != nil, nil },
	}
	// These have no zero value that would be lawful, or mean the same with it as without: nothing is waited for.
	lawful := map[string]bool{"min_position": true, "Last-Event-ID": true, "version": true} // version is a pointer to the end
	doc, err := api.LoadSpec()
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

type date = types.Date

func day(t *testing.T, s string) *date {
	t.Helper()
	d := new(date)
	if err := json.Unmarshal(fmt.Appendf(nil, "%q", s), d); err != nil {
		t.Fatal(err)
	}
	return d
}
