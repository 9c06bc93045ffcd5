package query_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/kit/projection/query"
)

func TestChanges(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{`{"a":1,"b":"x"}`, `{"a":1,"b":"x"}`, ``},
		{`{"a":1,"b":"x"}`, `{"b":"y","a":2}`, `/a 1→2, /b "x"→"y"`},
		{`{}`, `{"a":null}`, `/a →null`},
		{`{"a":null}`, `{"a":0}`, `/a null→0`},
		{`{"a":false}`, `{"a":null}`, `/a false→null`},
		{`{"a":""}`, `{}`, `/a ""→`},
		{``, `{"a":{"b":true}}`, `/a/b →true`},
		{`{"a":{"b":[7,8]}}`, ``, `/a/b/0 7→, /a/b/1 8→`},
		{`{"a":{"b":1}}`, `{"a":2}`, `/a →2, /a/b 1→`},
		{`{"a":[]}`, `{"a":{"b":1}}`, `/a []→, /a/b →1`},
		{`{"a":1}`, `{"a":1,"b":[],"c":{}}`, `/b →[], /c →{}`},
		{`{"a": [1, {"b": 2}]}`, `{"a":[1,{"b":2}]}`, ``},
		{`{"a":[1,2,3,4,5,6,7,8,9,10,11]}`, `{"a":[1,2,4,4,5,6,7,8,9,10,12]}`, `/a/2 3→4, /a/10 11→12`},
		{`{"a":[]}`, `{"a":[{"b":1}]}`, `/a/0/b →1`},
		{`{"a/b":1,"c~d":1}`, `{"a/b":2,"c~d":2}`, `/a~1b 1→2, /c~0d 1→2`},
		{`{"a": 9007199254740993}`, `{"a":9007199254740992}`, `/a 9007199254740993→9007199254740992`},
	} {
		changes, err := query.Changes(json.RawMessage(tt.before), json.RawMessage(tt.after))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range changes {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s→%s", c.Pointer, c.Before, c.After)))
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%s and %s: %s, want %s", tt.before, tt.after, got, tt.want)
		}
	}
	if _, err := query.Changes(json.RawMessage(`{"a"`), nil); err == nil {
		t.Error("what is no JSON is compared")
	}
}
