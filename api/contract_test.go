package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/kit/iso"
	"github.com/daybook-dev/daybook/kit/text"
)

// requests calls f with every operation that takes a body, its schema, and a body that is in order.
func requests(t *testing.T, f func(op *operation, schema *openapi3.Schema, body any)) {
	t.Helper()
	doc, err := LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	all := bodied(t)
	for _, item := range doc.Paths.Map() {
		for _, o := range item.Operations() {
			if op := all[o.OperationID]; op != nil {
				schema := o.RequestBody.Value.Content["application/json"].Schema.Value
				var body any
				if err := json.Unmarshal([]byte(write(op.body, -1, "")), &body); err != nil {
					t.Fatal(err)
				}
				f(op, schema, body)
			}
		}
	}
}

// field is a place in a request: its schema, and the whole body with another value there.
type field struct {
	pointer string
	schema  *openapi3.Schema
	with    func(value any) any
	without func() any // nil: it cannot be left out
	needed  bool
}

// fieldsOf walks to every field of a schema, those that the body does not have included.
func fieldsOf(schema *openapi3.Schema, body any, pointer string, put func(any) any, visit func(field)) {
	switch {
	case schema.Type.Is("object"):
		object, _ := body.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			member := schema.Properties[name].Value
			with := func(value any) any {
				other := maps.Clone(object)
				if other == nil {
					other = map[string]any{}
				}
				if schema.MaxProps != nil && len(other) >= int(*schema.MaxProps) && other[name] == nil { //nolint:gosec // few
					clear(other)
				}
				other[name] = value
				return put(other)
			}
			at := pointer + "/" + name
			visit(field{at, member, with, func() any {
				other := maps.Clone(object)
				delete(other, name)
				return put(other)
			}, slices.Contains(schema.Required, name)})
			below := object[name]
			if below == nil {
				below = sample(member)
			}
			fieldsOf(member, below, at, with, visit)
		}
	case schema.Type.Is("array"):
		item := schema.Items.Value
		with := func(value any) any { return put([]any{value}) }
		visit(field{pointer + "/0", item, with, nil, false})
		fieldsOf(item, body.([]any)[0], pointer+"/0", with, visit)
	}
}

func sample(s *openapi3.Schema) any {
	made, err := shapes{}.of(&openapi3.SchemaRef{Value: s}, "sample")
	if err != nil {
		panic(err)
	}
	var v any
	if err := json.Unmarshal([]byte(write(made, -1, "")), &v); err != nil {
		panic(err)
	}
	return v
}

// verdict is what the gate says of a body: the faults by pointer, "" if it passes.
func verdict(t *testing.T, op *operation, body any) string {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = op.judge(newWork(t.Context(), len(b)), b)
	if err == nil {
		return ""
	}
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status < 400 || p.Status >= 500 {
		t.Fatalf("%s: %v", b, err)
	}
	return fmt.Sprintf("%s %v", p.Code, p.Errors)
}

// boundaries are values about which a schema says yes or no.
func boundaries(s *openapi3.Schema) (values []any) {
	values = []any{nil, true, json.Number("1"), "1", []any{}, map[string]any{}, json.Number("1.5"), json.Number("12901.0"), json.Number("1e2"), json.Number("-0"), strings.Repeat("x", 2000)}
	for _, n := range []*float64{s.Min, s.Max} {
		if n != nil {
			for _, d := range []int64{-1, 0, 1} {
				whole, _ := big.NewFloat(*n).Int(nil)
				values = append(values, json.Number(whole.Add(whole, big.NewInt(d)).String()))
			}
		}
	}
	if s.Type.Is("string") {
		for _, n := range []int{0, 1, int(s.MinLength), 64, 65, 200, 201} { //nolint:gosec // small
			values = append(values, strings.Repeat("a", n), strings.Repeat("é", n))
		}
		if s.MaxLength != nil {
			for _, n := range []int{int(*s.MaxLength) - 1, int(*s.MaxLength), int(*s.MaxLength) + 1} { //nolint:gosec // small
				values = append(values, strings.Repeat("a", n), strings.Repeat("é", n), strings.Repeat("a", max(n-2, 0))+"@b")
			}
		}
		for _, e := range s.Enum {
			values = append(values, e, strings.ToLower(e.(string)), e.(string)+"X")
		}
	}
	if s.Type.Is("array") {
		item := sample(s.Items.Value)
		for _, n := range []uint64{0, 1, s.MinItems, *s.MaxItems, *s.MaxItems + 1} {
			values = append(values, slices.Repeat([]any{item}, int(n))) //nolint:gosec // small
		}
	}
	return values
}

// What openapi.yaml says of each field of each request, the server does: values at and beyond every bound, of every other type, null,
// nothing, and members that are not there. kin-openapi judges by the document alone.
func TestServerAndDocumentAgree(t *testing.T) {
	tried := 0
	requests(t, func(op *operation, schema *openapi3.Schema, body any) {
		agree := func(where string, body any) {
			t.Helper()
			tried++
			b, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal(b, &v); err != nil {
				t.Fatal(err)
			}
			documented := schema.VisitJSON(v, openapi3.VisitAsRequest(), openapi3.EnableFormatValidation())
			if said := verdict(t, op, body); (said == "") != (documented == nil) && !strings.HasPrefix(said, "card_number") {
				t.Errorf("%s %s: %.300s\nserver   %.300s\ndocument %.300v", op.id, where, b, said, documented)
			}
		}
		if said := verdict(t, op, body); said != "" {
			t.Errorf("%s: what is in order is refused: %s", op.id, said)
		}
		put := func(v any) any { return v }
		fieldsOf(schema, body, "#", put, func(f field) {
			for _, v := range boundaries(f.schema) {
				agree(f.pointer, f.with(v))
			}
			if f.without != nil {
				agree(f.pointer+" left out", f.without())
				if said := verdict(t, op, f.without()); f.needed && said == "" {
					t.Errorf("%s: %s can be left out", op.id, f.pointer)
				}
			}
			if f.schema.Type.Is("object") && f.schema.AdditionalProperties.Schema == nil {
				value, _ := sample(f.schema).(map[string]any)
				agree(f.pointer+" with more", f.with(map[string]any{"colour": "red"}))
				value = maps.Clone(value)
				value["colour"] = "red"
				if said := verdict(t, op, f.with(value)); !strings.Contains(said, "colour") {
					t.Errorf("%s: %s takes a member that is not there: %s", op.id, f.pointer, said)
				}
			}
		})
	})
	if tried < 1000 {
		t.Errorf("only %d bodies were tried", tried)
	}
}

// Every object of a request is closed, every list and text is bounded, and every text has a form.
func TestRequestsAreBounded(t *testing.T) {
	requests(t, func(op *operation, schema *openapi3.Schema, body any) {
		look := func(f field) {
			s := f.schema
			switch {
			case s.Type.Is("object"):
				if s.AdditionalProperties.Schema == nil && (s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has) || s.AdditionalProperties.Schema != nil && s.MaxProps == nil {
					t.Errorf("%s %s takes any member", op.id, f.pointer)
				}
			case s.Type.Is("array"):
				if s.MaxItems == nil {
					t.Errorf("%s %s has no greatest length", op.id, f.pointer)
				}
			case s.Type.Is("string"):
				if s.Enum == nil && (s.MaxLength == nil || s.MinLength == 0 || s.Pattern == "") {
					t.Errorf("%s %s is any text", op.id, f.pointer)
				}
			case s.Type.Is("integer"):
				if s.Min == nil || s.Max == nil {
					t.Errorf("%s %s has no bounds", op.id, f.pointer)
				}
			}
		}
		look(field{pointer: "#", schema: schema})
		fieldsOf(schema, body, "#", func(v any) any { return v }, look)
	})
}

// bad are texts that no field of any request takes.
var bad = []string{
	"", " ", "\t", "\u00a0", "\u2003\u3000", "\u200b", "\u2800", "\ufe0f", "a\u0000b", "a\nb", "a\tb", "a\u007fb", "a\u0085b", "a\u200bb", "a\u200db", "a\u202eb", "a\u2066b",
	"\ufeffa", "a\u00adb", "a\u2028b", "a\u3164b", "a\U000e0041b",
}

// No field of any request takes a text that is blank or has characters that cannot be seen, nor a card's number.
func TestNoFieldTakesBadTexts(t *testing.T) {
	texts := 0
	requests(t, func(op *operation, schema *openapi3.Schema, body any) {
		fieldsOf(schema, body, "#", func(v any) any { return v }, func(f field) {
			if !f.schema.Type.Is("string") {
				return
			}
			texts++
			for _, s := range bad {
				if said := verdict(t, op, f.with(s)); !strings.HasPrefix(said, "validation") || !strings.Contains(said, f.pointer) {
					t.Errorf("%s %s takes %q: %s", op.id, f.pointer, s, said)
				}
			}
			for _, s := range []string{
				"4111111111111111", "4111 1111 1111 1111", "4111_1111_1111_1111", "4111/1111/1111/1111", "4111\t1111\t1111\t1111", "4111\u00a01111\u00a01111\u00a01111",
				"４１１１１１１１１１１１１１１１", "٤١١١١١١١١١١١١١١١", "card-4111111111111111", "378282246310005", "4111.1111.1111.1111",
			} {
				if said := verdict(t, op, f.with(s)); !strings.HasPrefix(said, "card_number_refused") || !strings.Contains(said, f.pointer) {
					t.Errorf("%s %s takes the card's number in %q: %s", op.id, f.pointer, s, said)
				}
			}
		})
	})
	if texts < 25 {
		t.Errorf("only %d texts were found", texts)
	}
}

// The patterns and lists of openapi.yaml are those of the commands and the import.
func TestDocumentHasTheCommandsForms(t *testing.T) {
	doc, err := LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Id": text.IDPattern, "Sku": text.SKUPattern, "Ref": text.RefPattern, "Token": text.TokenPattern, "Email": text.EmailPattern(),
		"Name": text.Pattern(), "City": text.Pattern(), "RegionName": text.Pattern(), "PostalCode": text.Pattern(), "Phone": text.Pattern(), "Reason": text.Pattern(),
	} {
		if got := doc.Components.Schemas[name].Value.Pattern; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := *doc.Components.Schemas["Quantity"].Value.Max; got != order.MaxQuantity {
		t.Errorf("a line has at most %.0f units, and %d for the commands", got, order.MaxQuantity)
	}
	if got := *doc.Components.Schemas["NewOrder"].Value.Properties["lines"].Value.MaxItems; got > order.MaxLines {
		t.Errorf("an order has at most %d lines, and %d for the commands", got, order.MaxLines)
	}
	if got := *doc.Components.Schemas["Name"].Value.MaxLength; product.MaxName != order.MaxName || got != order.MaxName {
		t.Errorf("a name has at most %d characters, and %d or %d for the commands", got, product.MaxName, order.MaxName)
	}
	for name, want := range map[string][]string{"Currency": iso.Currencies(), "Country": iso.Countries(), "RecordedCountry": iso.RecordedCountries()} {
		var got []string
		for _, e := range doc.Components.Schemas[name].Value.Enum {
			got = append(got, e.(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is %v", name, got)
		}
	}
}
