package command

import (
	"context"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/kit/es"
)

// RegisterCustomer serves POST /v1/customers.
func (s *Server) RegisterCustomer(ctx context.Context, in openapi.RegisterCustomerRequestObject) (openapi.RegisterCustomerResponseObject, error) {
	b := in.Body
	stream := es.StreamID{Category: "customer", Key: b.Id}
	receipt, err := es.HandlePrepared(ctx, s.Handler, b.Id, api.RequestOf(ctx).Call(stream.String()), func(ctx context.Context) (es.Decision[customer.Customer], error) {
		seal := s.sealing(ctx, stream.String(), stream, "customer.registered")
		c := customer.Register{CustomerID: b.Id, Name: seal.text("name", b.Name), Email: seal.text("email", b.Email), Phone: seal.text("phone", b.Phone)}
		if b.Country != nil {
			c.Country = *b.Country
		}
		return c, seal.err
	})
	if err != nil {
		return nil, err
	}
	body := openapi.Customer{Id: b.Id, Name: openapi.ShownText(b.Name), Email: openapi.ShownText(b.Email), Phone: openapi.ShownText(b.Phone), Country: b.Country, Status: "active", Revision: int64Of(receipt.Revision)}
	return openapi.RegisterCustomer201JSONResponse{Body: body, Headers: openapi.RegisterCustomer201ResponseHeaders{
		Location: "/v1/customers/" + b.Id, ETag: api.ETag(receipt.Revision, receipt.Position),
		DaybookPosition: api.Position(receipt.Position), IdempotentReplayed: replayed(receipt),
	}}, nil
}

// sealing seals the fields of one event; the first error stands.
type sealing struct {
	ctx       context.Context //nolint:containedctx // lives as long as one command is prepared
	keys      Sealer
	subject   string
	stream    es.StreamID
	eventType string
	err       error
}

func (s *Server) sealing(ctx context.Context, subject string, stream es.StreamID, eventType string) *sealing {
	return &sealing{ctx: ctx, keys: s.Keys, subject: subject, stream: stream, eventType: eventType}
}

// text seals a field, if there is one.
func (s *sealing) text(field string, plain *string) es.Sealed {
	if plain == nil || s.err != nil {
		return es.Sealed{}
	}
	var sealed es.Sealed
	sealed, s.err = s.keys.Seal(s.ctx, s.subject, s.stream, s.eventType, field, *plain)
	return sealed
}
