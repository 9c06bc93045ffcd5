package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// document is a request body: its value, with numbers as they were written, and the fields that may not stand.
type document struct {
	value  any
	faults []fault
}

type fault struct{ pointer, code, detail string }

// maxDepth bounds the nesting of a body.
const maxDepth = 32

// readJSON reads exactly one JSON value. A name that stands twice in one object, and text with U+0000, are faults.
func readJSON(body []byte) (document, error) {
	doc := document{}
	if at := notText(body); at >= 0 {
		return doc, fmt.Errorf("what stands at byte %d is not UTF-8", at)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := doc.read(d, "#", 0)
	if err != nil {
		return doc, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return doc, fmt.Errorf("there is more than one JSON value, at byte %d", d.InputOffset())
	}
	doc.value = v
	return doc, nil
}

func (doc *document) read(d *json.Decoder, at string, depth int) (any, error) {
	t, err := d.Token()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("the JSON ends too early, at byte %d", d.InputOffset())
	case err != nil:
		return nil, fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
	case depth > maxDepth:
		return nil, fmt.Errorf("nested deeper than %d, at byte %d", maxDepth, d.InputOffset())
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return doc.object(d, at, depth)
		}
		return doc.array(d, at, depth)
	case string:
		doc.text(t, at)
		return t, nil
	case json.Number:
		return doc.number(t, at), nil
	}
	return t, nil
}

func (doc *document) object(d *json.Decoder, at string, depth int) (any, error) {
	out := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
		}
		name := t.(string) //nolint:forcetypeassert // a key is
		below := at + "/" + escapePointer(name)
		doc.text(name, below)
		if _, twice := out[name]; twice {
			doc.faults = append(doc.faults, fault{below, "duplicate", "stands twice"})
		}
		if out[name], err = doc.read(d, below, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("the JSON ends too early, at byte %d", d.InputOffset())
	}
	return out, nil
}

func (doc *document) array(d *json.Decoder, at string, depth int) (any, error) {
	out := []any{}
	for d.More() {
		v, err := doc.read(d, at+"/"+strconv.Itoa(len(out)), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("the JSON ends too early, at byte %d", d.InputOffset())
	}
	return out, nil
}

// number takes whole numbers in plain digits only, as no field has any other: 1e3 is refused like 1.5, and before anybody
// reckons out what 1e999999999 comes to.
func (doc *document) number(n json.Number, at string) any {
	if strings.ContainsAny(n.String(), ".eE") {
		doc.faults = append(doc.faults, fault{at, "type", "must be a whole number, in digits"})
		return json.Number("1")
	}
	return n
}

// notText finds the first byte that is not UTF-8, or half of a surrogate pair: the decoder would silently put U+FFFD there.
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

func (doc *document) text(s, at string) {
	if strings.ContainsRune(s, 0) {
		doc.faults = append(doc.faults, fault{at, "nul", "contains U+0000"})
	}
}

// canonical writes a JSON value with object keys sorted and no white space: what the digest of a request is made of.
func canonical(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, k)
			b.WriteByte(':')
			canonical(b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			canonical(b, e)
		}
		b.WriteByte(']')
	case string:
		writeString(b, v)
	case json.Number:
		b.WriteString(v.String())
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case nil:
		b.WriteString("null")
	}
}

func writeString(b *bytes.Buffer, s string) {
	enc, _ := json.Marshal(s) // a string always encodes
	b.Write(enc)
}
