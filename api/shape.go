package api

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// shape is a schema of openapi.yaml, made ready for checking: what it says costs one pass over a value. A schema with a keyword
// that is not checked here is refused when the document is read.
type shape struct {
	types []string // none: any
	about string
	says  string // x-says: what pattern or enum ask for, in words

	options []string // of a text
	null    bool     // among the options

	minLength, maxLength int
	pattern              *regexp.Regexp
	format               func(string) string
	isTime               bool

	min, max *int64

	minItems, maxItems int
	items              *shape

	minMembers, maxMembers int
	members                map[string]*shape
	required               []string
	closed                 bool   // has no members but those
	others                 *shape // the members that are not named
	names                  *shape
	together               map[string][]string // members that need others beside them

	all, any, one []*shape
	not           *shape
}

// formats say what is wrong with a text, or "".
var formats = map[string]func(string) string{
	"": nil, "int32": nil, "int64": nil, "password": nil,
	"date": func(s string) string {
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			return "must be a date such as 2026-01-31"
		}
		return ""
	},
	"date-time": func(s string) string {
		_, wrong := parseTime(s)
		return wrong
	},
}

// shapes makes shapes of schemas, each once.
type shapes map[*openapi3.Schema]*shape

func (all shapes) of(ref *openapi3.SchemaRef, at string) (*shape, error) {
	if ref == nil || ref.Value == nil {
		return nil, nil //nolint:nilnil // anything will do
	}
	s := ref.Value
	if known := all[s]; known != nil {
		return known, nil
	}
	if keyword := unchecked(s); keyword != "" {
		return nil, fmt.Errorf("openapi.yaml: %s: the gate does not check %s", at, keyword)
	}
	format, ok := formats[s.Format]
	if !ok {
		return nil, fmt.Errorf("openapi.yaml: %s: the gate does not check the format %s", at, s.Format)
	}
	made := &shape{
		types: s.Type.Slice(), about: strings.TrimSpace(s.Description), format: format, isTime: s.Format == "date-time",
		minLength: int(s.MinLength), maxLength: most(s.MaxLength), minItems: int(s.MinItems), maxItems: most(s.MaxItems), //nolint:gosec // small
		minMembers: int(s.MinProps), maxMembers: most(s.MaxProps), required: s.Required, together: s.DependentRequired, //nolint:gosec // small
		min: bound(s.Min), max: bound(s.Max), closed: s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has,
	}
	made.says, _ = s.Extensions["x-says"].(string)
	all[s] = made
	if s.Pattern != "" {
		var err error
		if made.pattern, err = regexp.Compile(s.Pattern); err != nil {
			return nil, fmt.Errorf("openapi.yaml: %s: %w", at, err)
		}
	}
	if err := made.choose(s, at); err != nil {
		return nil, err
	}
	return made, all.below(made, s, at)
}

// choose takes what enum and const leave to choose from.
func (made *shape) choose(s *openapi3.Schema, at string) error {
	options := s.Enum
	if s.Const != nil {
		options = []any{s.Const}
	}
	for _, o := range options {
		switch o := o.(type) {
		case string:
			made.options = append(made.options, o)
		case nil:
			made.null = true
		default:
			return fmt.Errorf("openapi.yaml: %s: the gate knows texts to choose from, not %v", at, o)
		}
	}
	return nil
}

// below makes the shapes within one.
func (all shapes) below(made *shape, s *openapi3.Schema, at string) error {
	for _, one := range []struct {
		into *(*shape)
		of   *openapi3.SchemaRef
		name string
	}{{&made.items, s.Items, "items"}, {&made.others, s.AdditionalProperties.Schema, "additionalProperties"}, {&made.names, s.PropertyNames, "propertyNames"}, {&made.not, s.Not, "not"}} {
		var err error
		if *one.into, err = all.of(one.of, at+"/"+one.name); err != nil {
			return err
		}
	}
	for _, many := range []struct {
		into *[]*shape
		of   openapi3.SchemaRefs
		name string
	}{{&made.all, s.AllOf, "allOf"}, {&made.any, s.AnyOf, "anyOf"}, {&made.one, s.OneOf, "oneOf"}} {
		for i, ref := range many.of {
			one, err := all.of(ref, fmt.Sprintf("%s/%s/%d", at, many.name, i))
			if err != nil {
				return err
			}
			*many.into = append(*many.into, one)
		}
	}
	made.members = map[string]*shape{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		member, err := all.of(s.Properties[name], at+"/"+name)
		if err != nil {
			return err
		}
		made.members[name] = member
	}
	return nil
}

// unchecked is a keyword of the schema that no check here knows.
func unchecked(s *openapi3.Schema) string {
	for _, k := range []struct {
		name string
		used bool
	}{
		{"multipleOf", s.MultipleOf != nil}, {"uniqueItems", s.UniqueItems}, {"exclusiveMinimum", s.ExclusiveMin != openapi3.ExclusiveBound{}},
		{"exclusiveMaximum", s.ExclusiveMax != openapi3.ExclusiveBound{}}, {"prefixItems", s.PrefixItems != nil}, {"contains", s.Contains != nil},
		{"patternProperties", s.PatternProperties != nil}, {"dependentSchemas", s.DependentSchemas != nil}, {"if", s.If != nil},
		{"unevaluatedItems", s.UnevaluatedItems.Has != nil || s.UnevaluatedItems.Schema != nil},
		{"unevaluatedProperties", s.UnevaluatedProperties.Has != nil || s.UnevaluatedProperties.Schema != nil},
		{"nullable", s.Nullable}, {"contentEncoding", s.ContentEncoding != ""}, {"a boolean schema", s.Always != nil},
		{"type number", s.Type.Includes("number")}, {"$dynamicRef", s.DynamicRef != ""},
	} {
		if k.used {
			return k.name
		}
	}
	return ""
}

func most(n *uint64) int {
	if n == nil || *n > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(*n)
}

func bound(f *float64) *int64 {
	if f == nil {
		return nil
	}
	n := int64(*f)
	return &n
}
