// What is generated here is the Go side of openapi.yaml: the shapes, the routes and the strict server interface.

package openapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config generate.yaml ../openapi.yaml
