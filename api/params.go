package api

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/kit/text"
)

// param is a parameter of an operation.
type param struct {
	name, in string
	required bool
	shape    *shape
}

func (all shapes) params(list openapi3.Parameters, operation string) ([]param, error) {
	var out []param
	for _, ref := range list {
		p := ref.Value
		s, err := all.of(p.Schema, operation+"/"+p.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, param{p.Name, p.In, p.Required, s})
	}
	return out, nil
}

// faults is what is wrong with a value that was given.
func (p param) faults(value string) []finding {
	if p.shape.any != nil {
		if slices.ContainsFunc(p.shape.any, func(s *shape) bool { return param{p.name, p.in, p.required, s}.faults(value) == nil }) {
			return nil
		}
		return []finding{{"anyOf", "has none of the forms that are taken: " + p.shape.about}}
	}
	if !slices.Contains(p.shape.types, "integer") {
		if p.kept() && !text.GTIN(value) && text.CardID(value) {
			return []finding{{"card_number", "looks like a card number"}}
		}
		return p.shape.textFaults(value)
	}
	if !wholeNumber.MatchString(value) {
		return []finding{{"type", "must be a whole number"}}
	}
	return p.shape.numberFaults(wholeOf([]byte(value)))
}

// kept reports whether something of the value is kept. Of an Idempotency-Key it is a hash, from which the few digits of a card could
// be guessed; nothing of the other headers.
func (p param) kept() bool {
	return p.shape.format == nil && (p.in != "header" || p.name == "Idempotency-Key")
}

var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// checkParams validates path, query and header parameters by their schemas.
func checkParams(op *operation, c echo.Context, _ *Request) error {
	query, err := queryOf(c.Request().URL.RawQuery)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if text.Card(name) {
			return NewProblem("unknown_parameter", "the name of a query parameter looks like a card number")
		}
		if !slices.ContainsFunc(op.params, func(p param) bool { return p.in == "query" && p.name == name }) {
			return NewProblem("unknown_parameter", "this operation has no query parameter %q", name).At(name, "unknown", "is not a parameter here")
		}
		if len(query[name]) > 1 {
			return NewProblem("malformed_parameter", "the parameter %s is given more than once", name).At(name, "duplicate", "occurs more than once")
		}
	}
	for _, p := range op.params {
		value, given, err := p.value(c, query)
		if err == nil && given {
			err = p.check(value)
		}
		switch {
		case err != nil:
			return err
		case !given && p.required && p.name == "Idempotency-Key":
			return NewProblem("idempotency_key_required", "send an Idempotency-Key header, so that a repeat takes effect once").
				At(p.name, "required", "is missing")
		case !given && p.required:
			return NewProblem("malformed_parameter", "the parameter %s is missing", p.name).At(p.name, "required", "is missing")
		}
	}
	return nil
}

// value is what was sent of a parameter. A header is left with one line, which is all that generated code reads.
func (p param) value(c echo.Context, query url.Values) (value string, given bool, err error) {
	switch p.in {
	case "path":
		value, err = pathParam(c, p.name)
		return value, true, err
	case "query":
		return query.Get(p.name), query.Has(p.name), nil
	}
	h := c.Request().Header
	switch p.name {
	case "Idempotency-Key":
		if value, err = idempotencyKey(h); value == "" || err != nil {
			return "", false, err
		}
		return h.Get(p.name), true, nil
	case "Prefer", "If-Match":
		value, given = strings.Join(elements(h.Values(p.name)), ", "), len(h.Values(p.name)) > 0
	default:
		if value, given, err = single(h, p.name); err != nil {
			return "", false, err
		}
	}
	if value == "" {
		h.Del(p.name)
		return "", given, nil
	}
	h.Set(p.name, value)
	return value, true, nil
}

// check holds a value to the parameter's schema.
func (p param) check(value string) error {
	if !utf8.ValidString(value) {
		return NewProblem("malformed_parameter", "the parameter %s is not UTF-8", p.name).At(p.name, "utf8", "is not UTF-8")
	}
	found := p.faults(value)
	if found == nil {
		return nil
	}
	problem := NewProblem("malformed_parameter", "the parameter %s cannot be used", p.name)
	if p.shape.isTime && len(found) == 1 {
		problem = NewProblem("bad_time", "%s is not an RFC 3339 time", p.name)
	}
	for _, f := range found {
		problem.At(p.name, f.code, "%s", f.detail)
	}
	return problem
}

// pathParam is a segment as its sender meant it. The router gives it escaped where the address has an escape that it need
// not have, %2F above all, and takes what follows a last parameter for a part of it.
func pathParam(c echo.Context, name string) (string, error) {
	value := c.Param(name)
	if value == "" || strings.Contains(value, "/") {
		return "", NewProblem("route_not_found", "there is nothing at this address")
	}
	if c.Request().URL.RawPath == "" {
		return value, nil
	}
	value, err := url.PathUnescape(value)
	if err != nil {
		return "", NewProblem("malformed_parameter", "the parameter %s cannot be read", name).At(name, "escape", "%v", err)
	}
	return value, nil
}
