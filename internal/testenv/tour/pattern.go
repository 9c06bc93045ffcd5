package tour

import (
	"fmt"
	"strings"
)

// A pattern is JSON as documentation writes it: … stands for anything, keys not shown may be there, an array with … in it
// shows some of its elements in their order.
type pattern struct {
	any   bool
	text  *string // with … for any run of characters
	plain string  // a number, true, false, null
	obj   map[string]pattern
	arr   []pattern
	some  bool // an array with …
}

// free values differ from run to run.
var free = map[string]bool{
	"number": true, "placed_at": true, "at": true, "recorded_at": true, "position": true, "expires_at": true, "as_of": true,
	"known_at": true, "trace_id": true, "causation_id": true,
}

// parsePattern reads one JSON value; what follows it is not looked at.
func parsePattern(s string) (p pattern, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pattern %q: %v", s, r)
		}
	}()
	q := &patternParser{rest: s}
	return q.value(), nil
}

type patternParser struct{ rest string }

func (q *patternParser) space() { q.rest = strings.TrimLeft(q.rest, " \t\n") }

func (q *patternParser) take(prefix string) bool {
	q.space()
	rest, ok := strings.CutPrefix(q.rest, prefix)
	if ok {
		q.rest = rest
	}
	return ok
}

func (q *patternParser) value() pattern {
	switch {
	case q.take("…"):
		return pattern{any: true}
	case q.take("{"):
		return q.object()
	case q.take("["):
		return q.array()
	case strings.HasPrefix(q.rest, `"`):
		s := q.str()
		return pattern{text: &s}
	}
	n := strings.IndexAny(q.rest, ",]} \n")
	if n <= 0 {
		panic("no value at " + q.rest)
	}
	v := q.rest[:n]
	q.rest = q.rest[n:]
	return pattern{plain: v}
}

func (q *patternParser) str() string {
	if !q.take(`"`) {
		panic("no text at " + q.rest)
	}
	s, rest, closed := strings.Cut(q.rest, `"`)
	if !closed {
		panic("a text is not closed: " + q.rest)
	}
	q.rest = rest
	return s
}

func (q *patternParser) object() pattern {
	p := pattern{obj: map[string]pattern{}}
	for !q.take("}") {
		if q.take("…") || q.take(",") {
			continue
		}
		key := q.str()
		if q.take(",") || strings.HasPrefix(q.rest, "}") { // "url":… may be written "url" alone
			p.obj[key] = pattern{any: true}
			continue
		}
		if !q.take(":") {
			panic("no colon at " + q.rest)
		}
		p.obj[key] = q.value()
	}
	return p
}

func (q *patternParser) array() pattern {
	p := pattern{arr: []pattern{}}
	for !q.take("]") {
		switch {
		case q.take("…"):
			p.some = true
		case q.take(","):
		default:
			p.arr = append(p.arr, q.value())
		}
	}
	return p
}

// match says where v, decoded with numbers as json.Number, differs; "" if nowhere.
func (p pattern) match(at string, v any) string {
	differs := func(want string) string { return fmt.Sprintf("%s is %v, want %s", at, v, want) }
	switch {
	case p.any:
		return ""
	case p.text != nil:
		s, ok := v.(string)
		if !ok || !wild(*p.text, s) {
			return differs(fmt.Sprintf("%q", *p.text))
		}
	case p.obj != nil:
		obj, ok := v.(map[string]any)
		if !ok {
			return differs("an object")
		}
		for key, want := range p.obj {
			got, there := obj[key]
			if !there {
				return fmt.Sprintf("%s/%s is missing", at, key)
			}
			if !free[key] {
				if d := want.match(at+"/"+key, got); d != "" {
					return d
				}
			}
		}
	case p.arr != nil:
		return p.matchArray(at, v)
	default:
		if fmt.Sprint(v) != p.plain && (v != nil || p.plain != "null") {
			return differs(p.plain)
		}
	}
	return ""
}

func (p pattern) matchArray(at string, v any) string {
	arr, ok := v.([]any)
	if !ok || !p.some && len(arr) != len(p.arr) {
		return fmt.Sprintf("%s is %v, want %d elements", at, v, len(p.arr))
	}
	i := 0
	for n, want := range p.arr {
		var d string
		for ; i < len(arr); i++ {
			if d = want.match(fmt.Sprintf("%s/%d", at, i), arr[i]); d == "" || !p.some {
				break
			}
		}
		if i == len(arr) || d != "" {
			return fmt.Sprintf("%s: element %d of the pattern is not there: %s", at, n, d)
		}
		i++
	}
	return ""
}

// wild matches a text in which … stands for any run of characters.
func wild(want, got string) bool {
	parts := strings.Split(want, "…")
	for i, part := range parts {
		at := strings.Index(got, part)
		if at < 0 || i == 0 && at > 0 {
			return false
		}
		got = got[at+len(part):]
	}
	return got == "" || parts[len(parts)-1] == ""
}
