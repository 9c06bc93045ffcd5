package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"gopkg.in/yaml.v3"
)

// AsyncSpec is the AsyncAPI document of the Kafka topic. A test writes it from the catalogue of events and compares.
//
//go:embed asyncapi.yaml
var AsyncSpec []byte

// SchemaPath is where the JSON schema of an event's data is served: what ce_dataschema on Kafka ends with.
func SchemaPath(eventType string, version int) string {
	return "/schemas/events/" + eventType + "/" + strconv.Itoa(version)
}

// EventSchema is the JSON schema of an event's data; false if there is none.
func EventSchema(eventType, version string) ([]byte, bool) {
	schema, ok := eventSchemas()[eventType+".v"+version]
	return schema, ok
}

var eventSchemas = sync.OnceValue(func() map[string][]byte {
	var doc struct {
		Components struct {
			Messages map[string]struct{}       `yaml:"messages"`
			Schemas  map[string]map[string]any `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(AsyncSpec, &doc); err != nil {
		panic(fmt.Errorf("asyncapi.yaml: %w", err))
	}
	out := map[string][]byte{}
	for name := range doc.Components.Messages {
		schema := doc.Components.Schemas[name]
		schema["$schema"] = "http://json-schema.org/draft-07/schema#"
		b, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			panic(fmt.Errorf("asyncapi.yaml, schema %s: %w", name, err))
		}
		out[name] = append(b, '\n')
	}
	return out
})
