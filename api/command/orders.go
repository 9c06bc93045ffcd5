package command

import (
	"context"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
	"github.com/daybook-dev/daybook/internal/shop"
)

// PlaceOrder serves POST /v1/orders.
func (s *Server) PlaceOrder(ctx context.Context, in openapi.PlaceOrderRequestObject) (openapi.PlaceOrderResponseObject, error) {
	done, err := s.commands.PlaceOrder(ctx, asked(ctx), newOrder(in.Body))
	if err != nil {
		return nil, err
	}
	return openapi.PlaceOrder201JSONResponse{Body: orderOf(done), Headers: openapi.PlaceOrder201ResponseHeaders(orderHeadersOf(ctx, done))}, nil
}

// CancelOrder serves POST /v1/orders/{id}/cancel.
func (s *Server) CancelOrder(ctx context.Context, in openapi.CancelOrderRequestObject) (openapi.CancelOrderResponseObject, error) {
	var reason *string
	if in.Body != nil {
		reason = in.Body.Reason
	}
	done, err := s.commands.CancelOrder(ctx, asked(ctx), in.Id, reason)
	if err != nil {
		return nil, err
	}
	body, headers := orderOf(done), orderHeadersOf(ctx, done)
	if body.Status == openapi.Cancelling {
		return openapi.CancelOrder202JSONResponse{Body: body, Headers: openapi.CancelOrder202ResponseHeaders(headers)}, nil
	}
	return openapi.CancelOrder200JSONResponse{Body: body, Headers: openapi.CancelOrder200ResponseHeaders(headers)}, nil
}

func newOrder(in *openapi.NewOrder) shop.NewOrder {
	c, a := in.Customer, in.ShipTo
	out := shop.NewOrder{
		Currency: in.Currency, ShippingMethod: in.ShippingMethod, ExpectedTotal: in.ExpectedTotal, PaymentToken: in.Payment.Token,
		Buyer: shop.NewCustomer{Name: c.Name, Email: c.Email, Phone: c.Phone},
		ShipTo: shop.Address{
			Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City, Region: a.Region, PostalCode: a.PostalCode, Country: a.Country,
		},
		Lines: make([]shop.NewLine, len(in.Lines)),
	}
	if in.Id != nil {
		out.ID = *in.Id
	}
	if c.Id != nil {
		out.Buyer.ID = *c.Id
	}
	for i, l := range in.Lines {
		out.Lines[i] = shop.NewLine{SKU: l.Sku, Quantity: int(l.Quantity)}
	}
	return out
}

func orderOf(d shop.Done[shop.Order]) openapi.Order { return shown.Order(d.Shown, d.Position) }

// orderHeaders of an answer with an order, in the order of generated code.
type orderHeaders struct {
	DaybookPosition    string
	ETag               string
	IdempotentReplayed *string
	Location           string
	PreferenceApplied  *string
}

func orderHeadersOf(ctx context.Context, d shop.Done[shop.Order]) orderHeaders {
	h := headersOf(d, "/v1/orders/"+d.Shown.Key)
	return orderHeaders{h.DaybookPosition, h.ETag, h.IdempotentReplayed, h.Location, applied(ctx)}
}
