package api

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// All headers are read in this file. Each has one function, which reads all lines of it.

// single reads a header that may be given once.
func single(h http.Header, name string) (value string, given bool, err error) {
	lines := h.Values(name)
	if len(lines) > 1 {
		return "", true, malformed(name, "duplicate", "occurs more than once")
	}
	if len(lines) == 0 {
		return "", false, nil
	}
	return strings.Trim(lines[0], " \t"), true, nil
}

func malformed(name, code, format string, args ...any) *Problem {
	return NewProblem("malformed_parameter", "the header %s cannot be used", name).At(name, code, format, args...)
}

// elements are those of a list (RFC 9110 §5.6.1), of all lines together. A comma between quotes parts nothing.
func elements(lines []string) []string {
	var out []string
	for _, line := range lines {
		out = append(out, split(line, ',')...)
	}
	return out
}

// split splits a text at separators outside quotes and drops blank parts.
func split(s string, separator byte) []string {
	var out []string
	quoted, from := false, 0
	add := func(to int) {
		if part := strings.Trim(s[from:to], " \t"); part != "" {
			out = append(out, part)
		}
		from = to + 1
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == separator:
			add(i)
		}
	}
	add(len(s))
	return out
}

// unquoted is a word as it is, or a quoted one without its quotes and escapes (RFC 9110 §5.6.4). ok is false if the quotes do not
// go round it.
func unquoted(s string) (word string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), i == len(s)-1
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", false
}

// longestKey is of an Idempotency-Key, in characters.
const longestKey = 255

// idempotencyKey reads the header; "" if there is none, or an empty one.
func idempotencyKey(h http.Header) (string, error) {
	const name = "Idempotency-Key"
	value, _, err := single(h, name)
	if err != nil {
		return "", err
	}
	key, ok := unquoted(value)
	switch n := len([]rune(key)); {
	case !ok:
		return "", malformed(name, "format", "begins with a quote that is not closed at its end")
	case n > longestKey:
		return "", malformed(name, "maxLength", "may have %d characters", longestKey)
	}
	return key, nil
}

// Wait reads `wait=N` out of the Prefer headers (RFC 7240). The first one counts, and unknown preferences are ignored.
func Wait(h http.Header) (wait time.Duration, ok bool) {
	for _, preference := range elements(h.Values("Prefer")) {
		parts := split(preference, ';')
		if len(parts) == 0 {
			continue
		}
		name, value, _ := strings.Cut(parts[0], "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "wait") {
			continue
		}
		word, _ := unquoted(strings.Trim(value, " \t"))
		n, err := strconv.ParseUint(word, 10, 31)
		if err != nil {
			return 0, false
		}
		return min(time.Duration(n)*time.Second, maxWait), true
	}
	return 0, false
}

// ifMatch reads If-Match (RFC 9110 §13.1.1): nil if there is none. A weak tag never matches, nor does one that is not ours.
func ifMatch(h http.Header) (*es.Condition, error) {
	const name = "If-Match"
	lines := h.Values(name)
	if len(lines) == 0 {
		return nil, nil //nolint:nilnil // no condition, and no mistake
	}
	tags := elements(lines)
	if len(tags) == 1 && tags[0] == "*" {
		return &es.Condition{Any: true}, nil
	}
	if len(tags) == 0 {
		return nil, malformed(name, "format", "is empty")
	}
	match := &es.Condition{}
	for _, tag := range tags {
		opaque, weak := strings.CutPrefix(tag, "W/")
		inner, ok := between(opaque)
		if !ok {
			return nil, malformed(name, "format", `must be ETags, "<revision>-<position>" in quotes, or *`)
		}
		revision, position, ok := strings.Cut(inner, "-")
		if n, err := strconv.ParseUint(revision, 10, 63); !weak && ok && err == nil && isNumber(position) {
			match.Revisions = append(match.Revisions, n)
		}
	}
	return match, nil
}

// between is the text between the quotes of an entity tag, which has no escapes.
func between(tag string) (string, bool) {
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' || strings.ContainsAny(tag[1:len(tag)-1], "\" \t") {
		return "", false
	}
	return tag[1 : len(tag)-1], true
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 63)
	return err == nil
}

// checkContent holds Content-Type and Content-Encoding to what is read here: JSON in UTF-8, not encoded. A type that is not there
// is one that is not taken, unless there is no content.
func checkContent(h http.Header, empty bool) error {
	for _, coding := range elements(h.Values("Content-Encoding")) {
		if !strings.EqualFold(coding, "identity") {
			p := NewProblem("unsupported_encoding", "send the body as it is, without a Content-Encoding")
			p.Header = http.Header{"Accept-Encoding": {"identity"}}
			return p
		}
	}
	value, given, err := single(h, "Content-Type")
	if err != nil {
		return err
	}
	if (!given || value == "") && empty {
		return nil
	}
	refused := NewProblem("unsupported_media_type", "send application/json")
	refused.Header = http.Header{"Accept": {"application/json"}}
	mediaType, params, err := mime.ParseMediaType(value)
	if err != nil || mediaType != "application/json" {
		return refused
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		refused.Detail = "send application/json in UTF-8"
		return refused
	}
	return nil
}

// accepts tells whether Accept takes one of some media types (RFC 9110 §12.5.1). A range that cannot be read says nothing.
func accepts(h http.Header, produced []string) bool {
	ranges := elements(h.Values("Accept"))
	if len(ranges) == 0 || len(produced) == 0 {
		return true
	}
	return slices.ContainsFunc(produced, func(one string) bool {
		weight, precision := 0.0, -1
		kind, _, _ := strings.Cut(one, "/")
		for _, r := range ranges {
			name, params, err := mime.ParseMediaType(r)
			if name == "*" { // as some Java clients write it
				name = "*/*"
			}
			at := slices.Index([]string{"*/*", kind + "/*", one}, name)
			if at < precision || at < 0 || err != nil && name != "*/*" {
				continue
			}
			q, err := strconv.ParseFloat(params["q"], 64)
			if err != nil {
				q = 1
			}
			if at > precision || q > weight {
				weight, precision = q, at
			}
		}
		return weight > 0
	})
}

// queryOf reads the query string.
func queryOf(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, NewProblem("malformed_parameter", "the query string cannot be read: %v", err)
	}
	return query, nil
}
