package query

import (
	"context"
	"net/http"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
)

// GetEventSchema implements openapi.StrictServerInterface.
func (s *Server) GetEventSchema(_ context.Context, req openapi.GetEventSchemaRequestObject) (openapi.GetEventSchemaResponseObject, error) {
	schema, ok := api.EventSchema(req.Type, req.Version)
	if !ok {
		return nil, api.NewProblem("not_found", "there is no event %s of version %s", req.Type, req.Version)
	}
	return eventSchema(schema), nil
}

type eventSchema []byte

// VisitGetEventSchemaResponse writes the schema.
func (e eventSchema) VisitGetEventSchemaResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/schema+json")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, err := w.Write(e)
	return err
}
