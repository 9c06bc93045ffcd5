package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/apitest"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/kit/es"
)

// fieldsOfStructs reads the JSON names of every generated struct, in the order in which they are encoded.
func fieldsOfStructs(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "openapi/openapi.gen.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string][]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				if f.Tag != nil {
					name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
					structs[spec.Name.Name] = append(structs[spec.Name.Name], name)
				}
			}
		}
		return false
	})
	return structs
}

// Every generated struct is encoded in the order in which openapi.yaml lists its fields.
func TestStructsHaveTheDocumentsOrder(t *testing.T) {
	order, err := apitest.FieldOrder()
	if err != nil {
		t.Fatal(err)
	}
	structs, compared := fieldsOfStructs(t), 0
	for name, fields := range order.Named() {
		if got := structs[name]; len(fields) > 0 && got != nil {
			compared++
			if !slices.Equal(got, fields) {
				t.Errorf("%s is encoded as %v, openapi.yaml has %v", name, got, fields)
			}
		}
	}
	if compared < 20 {
		t.Errorf("only %d structs were compared", compared)
	}
}

func TestProblemsHaveTheDocumentsOrder(t *testing.T) {
	order, err := apitest.FieldOrder()
	if err != nil {
		t.Fatal(err)
	}
	p := api.NewProblem("price_changed", "the order comes to 2, not 1").At("#/expected_total", "price_changed", "is now 2")
	p.Quote = &openapi.Quote{Currency: "GBP", Lines: []openapi.QuoteLine{{Line: 1, Sku: "MUG"}}}
	for _, err := range []error{p, &es.Rejection{Code: "order_exists"}, errors.New("broken")} {
		w := httptest.NewRecorder()
		if err := api.AsProblem(err).Write(w, "trace"); err != nil {
			t.Fatal(err)
		}
		if err := order.Check("Problem", w.Body.Bytes()); err != nil {
			t.Errorf("%v in %s", err, w.Body)
		}
	}
}

func TestAnotherOrderIsNoticed(t *testing.T) {
	order, err := apitest.FieldOrder()
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		`{"title":"x","type":"y"}`, `{"errors":[{"pointer":"a"},{"code":"c","pointer":"b"}]}`, `{"quote":{"lines":[{"sku":"A","line":1}]}}`,
	} {
		if err := order.Check("Problem", []byte(body)); err == nil {
			t.Errorf("%s passes", body)
		}
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(openapi.Product{Prices: map[string]int64{"USD": 1, "EUR": 2}}); err != nil {
		t.Fatal(err)
	}
	if err := order.Check("Product", b.Bytes()); err != nil {
		t.Error(err)
	}
	if err := order.Check("Nothing", []byte(`{}`)); err == nil {
		t.Error("a schema that is not there passes")
	}
}
