// What is generated here is the Go side of openapi.yaml: the shapes, the routes and the strict server interface.

package openapi

//go:generate go run ./ordered -config generate.yaml ../openapi.yaml
