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
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	doc := document{}
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
		name := t.(string)
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

func (doc *document) text(s, at string) {
	if strings.ContainsRune(s, 0) {
		doc.faults = append(doc.faults, fault{strings.ReplaceAll(at, "\x00", `\u0000`), "nul", "contains U+0000"})
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
