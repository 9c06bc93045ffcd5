// Package api is the HTTP boundary: openapi.yaml, the checks that every request passes, and the one place where errors
// become problems. The operations themselves are in command and query.
package api

import (
	_ "embed"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

// Spec is openapi.yaml, as it is served.
//
//go:embed openapi.yaml
var Spec []byte

// LoadSpec parses and checks Spec.
func LoadSpec() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(Spec)
	if err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	return doc, nil
}
