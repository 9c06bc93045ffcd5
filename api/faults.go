package api

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/daybook-dev/daybook/api/openapi"
)

// Invalid is the problem of fields that the schema lets through and the business does not.
func Invalid(errs ...openapi.FieldError) *Problem {
	p := NewProblem("validation", "")
	p.Errors = errs
	return finishValidation(p)
}

func finishValidation(p *Problem) *Problem {
	slices.SortStableFunc(p.Errors, func(a, b openapi.FieldError) int { return cmp.Compare(a.Pointer, b.Pointer) })
	p.Detail = fmt.Sprintf("%d fields are not valid", len(p.Errors))
	if len(p.Errors) == 1 {
		p.Detail = "1 field is not valid"
	}
	return p
}

// addFaults turns what the schema found into field errors below a pointer. The values themselves are not repeated.
func addFaults(p *Problem, err error, base string) *Problem {
	var many openapi3.MultiError
	var one *openapi3.SchemaError
	switch {
	case errors.As(err, &many):
		for _, e := range many {
			_ = addFaults(p, e, base)
		}
	case errors.As(err, &one):
		pointer, field := pointerTo(base, one.JSONPointer()), one.SchemaField
		if obj, ok := one.Value.(map[string]any); ok && (field == "properties" || field == "additionalProperties") {
			addUnknown(p, obj, one.Schema, pointer)
			break
		}
		p.At(pointer, field, "%s", explain(one))
	default:
		p.At(base, "invalid", "%s", err.Error())
	}
	return p
}

// addUnknown names the members that the schema does not have; the error itself names only their object.
func addUnknown(p *Problem, obj map[string]any, s *openapi3.Schema, base string) {
	for name := range obj {
		pointer := base + "/" + escapePointer(name)
		if s.Properties[name] == nil && !slices.ContainsFunc(p.Errors, func(f openapi.FieldError) bool { return f.Pointer == pointer }) {
			p.At(pointer, "unknown", "is not a field here")
		}
	}
}

func pointerTo(base string, tokens []string) string {
	var b strings.Builder
	b.WriteString(base)
	for _, t := range tokens {
		b.WriteString("/" + escapePointer(t))
	}
	return b.String()
}

func escapePointer(token string) string {
	if !strings.ContainsAny(token, "~/\x00") {
		return token
	}
	return strings.NewReplacer("~", "~0", "/", "~1", "\x00", `\u0000`).Replace(token)
}

func explain(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return "is required"
	case "minimum":
		return fmt.Sprintf("must be at least %.0f", *s.Min)
	case "maximum":
		return fmt.Sprintf("must be at most %.0f", *s.Max)
	case "minLength":
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		return fmt.Sprintf("must have at most %d characters", *s.MaxLength)
	case "minItems":
		return fmt.Sprintf("must have at least %d items", s.MinItems)
	case "maxItems":
		return fmt.Sprintf("must have at most %d items", *s.MaxItems)
	case "minProperties":
		return fmt.Sprintf("must have at least %d members", s.MinProps)
	case "maxProperties":
		return fmt.Sprintf("must have at most %d members", *s.MaxProps)
	case "pattern":
		return "must match " + s.Pattern
	case "enum":
		return fmt.Sprintf("must be one of %v", s.Enum)
	case "nullable":
		return "must not be null"
	case "type":
		return "must be of type " + strings.Join(s.Type.Slice(), " or ")
	}
	return e.Reason
}
