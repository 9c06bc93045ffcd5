package tour

import "testing"

func TestPatterns(t *testing.T) {
	v := map[string]any{"a": "one two", "n": "x", "list": []any{map[string]any{"k": "1"}, map[string]any{"k": "2"}, map[string]any{"k": "3"}}, "none": nil}
	for _, tt := range []struct {
		pattern string
		matches bool
	}{
		{`{"a":"one two"}`, true}, {`{"a":"one…"}`, true}, {`{"a":"…"}`, true}, {`{"a":"one"}`, false}, {`{"b":"…"}`, false},
		{`{"none":null,…}`, true}, {`{"a":null}`, false},
		{`{"list":[{"k":"1"},…]}`, true}, {`{"list":[{"k":"1"}, …
			{"k":"3"}]}`, true}, {`{"list":[{"k":"1"}]}`, false}, {`{"list":[{"k":"3"},{"k":"1"},…]}`, false}, {`{"list":[{"k":"4"},…]}`, false},
	} {
		p, err := parsePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if d := p.match("", v); (d == "") != tt.matches {
			t.Errorf("%s: %q", tt.pattern, d)
		}
	}
}
