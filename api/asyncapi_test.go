package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/kit/es"
)

var update = flag.Bool("update", false, "write asyncapi.yaml anew from the catalogue")

func relayed(tb testing.TB) *es.Catalog {
	tb.Helper()
	c, err := es.NewCatalog(events.Catalog(), deployment.Catalog(), operation.Catalog())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// The document of the topic is what the catalogue says, each version of each event included. -update writes it.
func TestTheTopicsDocumentIsTheCatalogue(t *testing.T) {
	t.Parallel()
	base, err := os.ReadFile("asyncapi.base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(base, &doc); err != nil {
		t.Fatal(err)
	}
	components := doc["components"].(map[string]any)
	messages, schemas := map[string]any{}, components["schemas"].(map[string]any)
	components["messages"] = messages
	channel := doc["channels"].(map[string]any)["events"].(map[string]any)
	listed := map[string]any{}
	channel["messages"] = listed
	words := comments(t, "../events", "../internal/deployment", "../internal/operation")
	for d := range relayed(t).Definitions() {
		for version := 1; version <= d.Version; version++ {
			name := fmt.Sprintf("%s.v%d", d.Type, version)
			schema := shape(t, words, d.Shape(version))
			schema["title"] = fmt.Sprintf("%s, version %d", d.Type, version)
			schemas[name] = schema
			messages[name] = map[string]any{
				"name": d.Type, "title": schema["title"], "summary": cmp.Or(words.of(d.Shape(version)), d.Type),
				"contentType": "application/json",
				"headers": map[string]any{"allOf": []any{
					map[string]any{"$ref": "#/components/schemas/headers"},
					map[string]any{"type": "object", "properties": map[string]any{
						"ce_type":       map[string]any{"type": "string", "const": d.Type},
						"ce_dataschema": map[string]any{"type": "string", "pattern": strings.ReplaceAll(api.SchemaPath(d.Type, version), ".", `\.`) + "$"},
					}},
				}},
				"payload": map[string]any{"$ref": "#/components/schemas/" + name},
			}
			listed[name] = map[string]any{"$ref": "#/components/messages/" + name}
		}
	}
	var out bytes.Buffer
	out.WriteString("# Written by `go test ./api -run TheTopicsDocument -update` from asyncapi.base.yaml and the catalogue of events.\n")
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("asyncapi.yaml", out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(out.Bytes(), api.AsyncSpec) {
		t.Error("asyncapi.yaml differs from the catalogue: run `go test ./api -run TheTopicsDocument -update`. A changed schema of a version " +
			"that was released breaks consumers: make a new version")
	}
}

// shape is the JSON schema of what encoding/json makes of a type.
func shape(t *testing.T, words words, of reflect.Type) map[string]any {
	t.Helper()
	switch of {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[es.UUID]():
		return map[string]any{"type": "string", "format": "uuid"}
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case reflect.TypeFor[events.OrderLines]():
		return map[string]any{"oneOf": []any{shape(t, words, reflect.TypeFor[[]events.OrderLine]()), lineTable}}
	case reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	}
	if of.Implements(reflect.TypeFor[json.Marshaler]()) {
		t.Fatalf("%s writes its own JSON, which has no schema here", of)
	}
	switch of.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice: // one that was never made is null
		return map[string]any{"type": []any{"array", "null"}, "items": shape(t, words, of.Elem())}
	case reflect.Map:
		return map[string]any{"type": []any{"object", "null"}, "additionalProperties": shape(t, words, of.Elem())}
	case reflect.Struct:
	default:
		t.Fatalf("%s has no schema here", of)
	}
	properties, required := map[string]any{}, []any{}
	for _, field := range reflect.VisibleFields(of) { // those of an embedded struct stand beside its own, as in JSON
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && field.Anonymous && field.Type.Kind() == reflect.Struct || name == "-" {
			continue
		}
		if name == "" {
			t.Fatalf("%s.%s has no name in JSON", of, field.Name)
		}
		property := shape(t, words, field.Type)
		if text := words[of.PkgPath()[strings.LastIndex(of.PkgPath(), "/")+1:]+"."+of.Name()+"."+field.Name]; text != "" {
			property["description"] = text
		}
		properties[name] = property
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	if text := words.of(of); text != "" {
		out["description"] = text
	}
	return out
}

// lineTable is the short form of events.OrderLines.
var lineTable = map[string]any{
	"type": "object", "additionalProperties": false, "required": []any{"order", "tax_class", "columns", "rows"},
	"description": "More than 500 lines without tax and discount: a row per line, numbered from 1. Total = quantity × unit price; the reservation is <order>/<line>/1.",
	"properties": map[string]any{
		"order": map[string]any{"type": "string"}, "tax_class": map[string]any{"type": "string"},
		"columns": map[string]any{"const": []any{"sku", "name", "quantity", "unit_price", "list_price", "agreed", "ref"}},
		"rows": map[string]any{"type": "array", "items": map[string]any{
			"type": "array", "minItems": 7, "maxItems": 7, "prefixItems": []any{
				map[string]any{"type": "string"}, map[string]any{"type": "string"}, map[string]any{"type": "integer"}, map[string]any{"type": "integer"},
				map[string]any{"type": "integer"}, map[string]any{"type": "boolean"}, map[string]any{"type": "string"},
			},
		}},
	},
}

// An order of more lines than can be placed fits the schema, too.
func TestManyLinesFitTheirSchema(t *testing.T) {
	t.Parallel()
	placed := events.OrderPlaced{OrderID: "O", Recorded: true}
	for i := range 501 {
		placed.Lines = append(placed.Lines, events.OrderLine{Line: i + 1, SKU: "A", Quantity: 2, UnitPrice: 5, Total: 10, ReservationID: fmt.Sprintf("O/%d/1", i+1)})
	}
	b, err := json.Marshal(placed)
	if err != nil || !bytes.Contains(b, []byte(`"rows"`)) {
		t.Fatal(err)
	}
	data, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := validator(t, "order.placed", 1).Validate(data); err != nil {
		t.Error(err)
	}
}

// words is what the source says about types and fields, by package.Type and package.Type.Field.
type words map[string]string

func (w words) of(t reflect.Type) string {
	return w[t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]+"."+t.Name()]
}

func comments(t *testing.T, dirs ...string) words {
	t.Helper()
	out := words{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.TYPE && len(decl.Specs) == 1 {
					if spec := decl.Specs[0].(*ast.TypeSpec); spec.Doc == nil {
						spec.Doc = decl.Doc
					}
				}
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				body, ok := spec.Type.(*ast.StructType)
				if !ok {
					return true
				}
				name := f.Name.Name + "." + spec.Name.Name
				out[name] = line(spec.Doc)
				for _, field := range body.Fields.List {
					for _, id := range field.Names {
						out[name+"."+id.Name] = cmp.Or(line(field.Doc), line(field.Comment))
					}
				}
				return true
			})
		}
	}
	return out
}

func line(g *ast.CommentGroup) string { return strings.Join(strings.Fields(g.Text()), " ") }

func validator(t *testing.T, eventType string, version int) *jsonschema.Schema {
	t.Helper()
	source, ok := api.EventSchema(eventType, strconv.Itoa(version))
	if !ok {
		t.Fatalf("%s version %d has no schema", eventType, version)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("event.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// Every golden event fits its schema, and no longer does with a field more, a field of another type, or without one that is
// always there.
func TestGoldenEventsFitTheirSchemas(t *testing.T) {
	t.Parallel()
	files := 0
	for d := range relayed(t).Definitions() {
		for version := 1; version <= d.Version; version++ {
			schema := validator(t, d.Type, version)
			golden, err := os.ReadFile(fmt.Sprintf("../events/testdata/%s.v%d.json", d.Type, version))
			if os.IsNotExist(err) && !slices.ContainsFunc(events.Catalog(), func(e es.Definition) bool { return e.Type == d.Type }) {
				continue // an engine's own
			}
			if err != nil {
				t.Fatal(err)
			}
			files++
			var data map[string]any
			if err := json.Unmarshal(golden, &data); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(data); err != nil {
				t.Errorf("%s: %v", d.Type, err)
			}
			for _, name := range schema.Required {
				without := map[string]any{}
				for k, v := range data {
					if k != name {
						without[k] = v
					}
				}
				if schema.Validate(without) == nil {
					t.Errorf("%s fits without %s", d.Type, name)
				}
			}
			for name := range data {
				changed := maps.Clone(data)
				changed[name] = []any{map[string]any{"other": true}}
				if schema.Validate(changed) == nil {
					t.Errorf("%s fits with another %s", d.Type, name)
				}
			}
			data["unheard_of"] = 1
			if schema.Validate(data) == nil {
				t.Errorf("%s fits with a field more", d.Type)
			}
		}
	}
	if files < 40 {
		t.Errorf("only %d golden events were held to their schemas", files)
	}
}
