package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// document is a JSON text as it was sent, with the place of every value in it. Reading it is one pass; nothing of it is copied.
type document struct {
	body   []byte
	values []value // depth first, the name of a member before its value
	work   *work
}

// value is a place in a document.
type value struct {
	kind       byte  // { [ " 0 t f n
	escaped    bool  // a text with escapes
	start, end int32 // in the body
	next       int32 // what follows it and all that is in it
	size       int32 // members or items
}

const (
	// maxDepth bounds the nesting of a body.
	maxDepth = 32
	// workPerByte bounds what checking a body may cost, whatever the schema: beyond it the body is refused.
	workPerByte, workAtLeast = 64, 100_000
)

// work counts steps, each about a byte or a value looked at, and ends when its context does or when they are too many.
type work struct {
	ctx               context.Context //nolint:containedctx // of the request
	steps, asked, max int
	err               error
}

var errTooMuchWork = errors.New("the body takes too long to check")

func newWork(ctx context.Context, bytes int) *work {
	return &work{ctx: ctx, max: workAtLeast + workPerByte*bytes}
}

// do counts n more steps and tells whether to go on.
func (w *work) do(n int) bool {
	w.steps += n + 1
	switch {
	case w.err != nil:
	case w.steps > w.max:
		w.err = errTooMuchWork
	case w.steps-w.asked > 16<<10:
		w.asked = w.steps
		w.err = w.ctx.Err()
	}
	return w.err == nil
}

// readJSON reads exactly one JSON value.
func readJSON(w *work, body []byte) (*document, error) {
	d := &document{body: body, work: w}
	if w.err = w.ctx.Err(); w.err != nil {
		return nil, w.err
	}
	if at := notText(body); at >= 0 {
		return nil, fmt.Errorf("byte %d is not UTF-8", at)
	}
	if !json.Valid(body) {
		return nil, syntax(body)
	}
	d.values = make([]value, 0, d.count())
	d.work.do(3 * len(body))
	_, err := d.read(0, 0)
	return d, err
}

// syntax says what is wrong with a text that is no JSON.
func syntax(body []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(body, &raw)
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		if wrong.Offset >= int64(len(body)) && wrong.Error() == "unexpected end of JSON input" {
			return fmt.Errorf("the JSON ends too early, at byte %d", wrong.Offset)
		}
		return fmt.Errorf("at byte %d: %w", wrong.Offset, wrong)
	}
	return errors.New("this is no JSON")
}

// count is how many values and names the body has.
func (d *document) count() int {
	n, within := 1, false
	for i := 0; i < len(d.body); i++ {
		switch c := d.body[i]; {
		case within && c == '\\':
			i++
		case c == '"':
			within = !within
		case !within && (c == ',' || c == ':' || c == '{' || c == '['):
			n++
		}
	}
	return n
}

// read takes the value at or after a byte and gives where it ends. The body is known to be JSON.
func (d *document) read(at int32, depth int) (int32, error) {
	at = d.blank(at)
	if depth > maxDepth {
		return at, fmt.Errorf("nested deeper than %d, at byte %d", maxDepth, at)
	}
	if !d.work.do(0) {
		return at, d.work.err
	}
	own := len(d.values)
	v := value{kind: d.body[at], start: at}
	d.values = append(d.values, v)
	var err error
	switch v.kind {
	case '{', '[':
		v.end, v.size, err = d.within(at, v.kind == '{', depth)
	case '"':
		v.end, v.escaped = d.quoted(at)
	default:
		v.end = d.plain(at)
		if v.kind == '-' || v.kind >= '0' && v.kind <= '9' {
			v.kind = '0'
		}
	}
	v.next = int32(len(d.values)) //nolint:gosec // at most maxBody
	d.values[own] = v
	return v.end, err
}

// within reads the members of an object or the items of an array.
func (d *document) within(at int32, object bool, depth int) (end, size int32, err error) {
	for at = d.blank(at + 1); d.body[at] != '}' && d.body[at] != ']'; at = d.blank(at) {
		if d.body[at] == ',' {
			at++
		}
		if object {
			at = d.blank(at)
			v := value{kind: '"', start: at, next: int32(len(d.values)) + 1} //nolint:gosec // at most maxBody
			v.end, v.escaped = d.quoted(at)
			d.values = append(d.values, v)
			at = d.blank(v.end) + 1 // the colon
		}
		if at, err = d.read(at, depth+1); err != nil {
			return at, size, err
		}
		size++
	}
	return at + 1, size, nil
}

func (d *document) blank(at int32) int32 {
	for d.body[at] == ' ' || d.body[at] == '\n' || d.body[at] == '\t' || d.body[at] == '\r' {
		at++
	}
	return at
}

func (d *document) quoted(at int32) (end int32, escaped bool) {
	for at++; d.body[at] != '"'; at++ {
		if d.body[at] == '\\' {
			escaped = true
			at++
		}
	}
	return at + 1, escaped
}

// plain is the end of a number, true, false or null.
func (d *document) plain(at int32) int32 {
	for int(at) < len(d.body) {
		switch d.body[at] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return at
		}
		at++
	}
	return at
}

// raw is a value as it was written.
func (d *document) raw(v value) []byte { return d.body[v.start:v.end] }

// text is what a text or a name says.
func (d *document) text(v value) string {
	raw := d.body[v.start+1 : v.end-1]
	if !v.escaped {
		return string(raw)
	}
	return unescape(raw)
}

// unescape decodes the escapes of a text without its quotes.
func unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		switch raw[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := escaped(raw[i-1:])
			i += 4
			if utf16.IsSurrogate(r) { // its other half follows: notText has looked
				r = utf16.DecodeRune(r, escaped(raw[i+1:]))
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default: // " \ /
			out = append(out, raw[i])
		}
	}
	return string(out)
}

// notText finds the first byte that is not UTF-8, or half of a surrogate pair: decoders would silently put U+FFFD there.
// It gives -1 if there is none.
func notText(body []byte) int {
	for i := 0; i < len(body); {
		switch {
		case body[i] == '\\' && i+1 < len(body) && body[i+1] == 'u':
			r, second := escaped(body[i:]), escaped(body[min(i+6, len(body)):])
			switch {
			case utf16.DecodeRune(r, second) != utf8.RuneError:
				i += 12
			case utf16.IsSurrogate(r):
				return i
			default:
				i += 2
			}
		case body[i] == '\\':
			i += 2
		case body[i] < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(body[i:])
			if r == utf8.RuneError && size == 1 {
				return i
			}
			i += size
		}
	}
	return -1
}

// escaped reads \uXXXX; -1 if it is not there.
func escaped(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
