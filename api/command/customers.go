package command

import (
	"context"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
	"github.com/daybook-dev/daybook/internal/shop"
)

// RegisterCustomer serves POST /v1/customers.
func (s *Server) RegisterCustomer(ctx context.Context, in openapi.RegisterCustomerRequestObject) (openapi.RegisterCustomerResponseObject, error) {
	register := shop.NewCustomer{ID: in.Body.Id, Name: in.Body.Name, Email: in.Body.Email, Phone: in.Body.Phone}
	if in.Body.Country != nil {
		register.Country = *in.Body.Country
	}
	done, err := s.commands.RegisterCustomer(ctx, asked(ctx), register)
	if err != nil {
		return nil, err
	}
	body := shown.Customer(done.Shown)
	body.Revision = int64Of(done.Revision)
	return openapi.RegisterCustomer201JSONResponse{Body: body, Headers: openapi.RegisterCustomer201ResponseHeaders(headersOf(done, "/v1/customers/"+in.Body.Id))}, nil
}
