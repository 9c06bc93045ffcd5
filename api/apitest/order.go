// Package apitest is what tests hold the API to, beside what a validator of OpenAPI checks.
package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/daybook-dev/daybook/api"
)

// Order is the order in which openapi.yaml lists the fields of each schema, which answers have too. The parsed document
// keeps fields in maps, so it is read from the text.
type Order struct{ schemas map[string]*yaml.Node }

// FieldOrder reads Order from api.Spec.
func FieldOrder() (Order, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(api.Spec, &document); err != nil {
		return Order{}, fmt.Errorf("read openapi.yaml: %w", err)
	}
	schemas := member(member(document.Content[0], "components"), "schemas")
	if schemas == nil {
		return Order{}, errors.New("openapi.yaml has no schemas")
	}
	o := Order{map[string]*yaml.Node{}}
	for i := 0; i+1 < len(schemas.Content); i += 2 {
		o.schemas[schemas.Content[i].Value] = schemas.Content[i+1]
	}
	return o, nil
}

// Named gives the fields of every named schema.
func (o Order) Named() map[string][]string {
	out := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(o.schemas)) {
		out[name] = keys(member(o.schemas[name], "properties"))
	}
	return out
}

// Check compares the order of all fields of a JSON value with a named schema's.
func (o Order) Check(schema string, body []byte) error {
	s := o.schemas[schema]
	if s == nil {
		return fmt.Errorf("openapi.yaml has no schema %s", schema)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	return o.value(d, s, "#")
}

func (o Order) value(d *json.Decoder, schema *yaml.Node, at string) error {
	schema = o.resolve(schema)
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	switch t {
	case json.Delim('{'):
		if err := o.object(d, schema, at); err != nil {
			return err
		}
	case json.Delim('['):
		for d.More() {
			if err := o.value(d, member(schema, "items"), at+"/-"); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = d.Token()
	return err
}

func (o Order) object(d *json.Decoder, schema *yaml.Node, at string) error {
	properties := member(schema, "properties")
	order, last := keys(properties), -1
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		name := fmt.Sprint(t)
		below := member(properties, name)
		if i := slices.Index(order, name); i >= 0 {
			if i < last {
				return fmt.Errorf("%s/%s comes after %s, openapi.yaml lists it before", at, name, order[last])
			}
			last = i
		} else {
			below = member(schema, "additionalProperties")
		}
		if err := o.value(d, below, at+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

func (o Order) resolve(schema *yaml.Node) *yaml.Node {
	for {
		ref := member(schema, "$ref")
		if ref == nil {
			return schema
		}
		schema = o.schemas[strings.TrimPrefix(ref.Value, "#/components/schemas/")]
	}
}

// member is the value of a key of a mapping; nil if there is none.
func member(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func keys(n *yaml.Node) (names []string) {
	if n == nil {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		names = append(names, n.Content[i].Value)
	}
	return names
}
