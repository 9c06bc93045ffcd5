package query

import (
	"context"
	"strconv"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/projections/orderdetails"
)

// GetOrder serves GET /v1/orders/{id}.
func (s *Server) GetOrder(ctx context.Context, in openapi.GetOrderRequestObject) (openapi.GetOrderResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	if in.Params.Version != nil {
		if ask.Past() {
			return nil, api.NewProblem("malformed_parameter", "version and a time cannot be asked together").At("version", "either", "stands beside as_of or known_at")
		}
		revision := uint64(*in.Params.Version) //nolint:gosec // not negative: the schema says so
		ask.Revision = &revision
	}
	d, answer, err := s.details.Get(ctx, ask, in.Id)
	if err != nil {
		return nil, problemOf(err)
	}
	if d == nil {
		return nil, notFound(ask, "order_not_found", "there is no order %s", in.Id)
	}
	o, err := s.order(ctx, *d)
	if err != nil {
		return nil, err
	}
	o.Position = api.Position(answer.Position)
	o.AsOf, o.KnownAt = times(answer)
	return openapi.GetOrder200JSONResponse{Body: o, Headers: openapi.GetOrder200ResponseHeaders{
		ETag: api.ETag(uint64(o.Revision), answer.Position), DaybookPosition: o.Position, //nolint:gosec // a revision
	}}, nil
}

// Fold shows an order as its own stream tells it, before any read model has heard of it.
func (s *Server) Fold(ctx context.Context, stream []es.Recorded) (openapi.Order, error) {
	d, err := orderdetails.Fold(stream)
	if err != nil {
		return openapi.Order{}, err
	}
	return s.order(ctx, d)
}

func (s *Server) order(ctx context.Context, d orderdetails.Detail) (openapi.Order, error) {
	o := openapi.Order{
		Id: d.Key, Number: d.Number, Status: openapi.OrderStatus(d.Status), Held: d.Held, Currency: d.Currency,
		Goods: d.Goods, Discount: d.Discount, Shipping: d.Shipping.Price, ShippingTax: d.Shipping.Tax,
		TaxIncluded: d.TaxIncluded, TaxAdded: d.TaxAdded, Total: d.Total,
		Lines: lines(d.Lines), Payment: paymentOf(d.Payment),
		Fulfilment: openapi.AxisStatus{Status: d.Fulfilment}, Return: openapi.AxisStatus{Status: d.Return},
		Rejection: rejection(d.Rejection), PlacedAt: d.PlacedAt, Revision: d.Revision, Position: strconv.FormatInt(d.Position, 10),
	}
	if d.Recorded {
		o.Recorded = &d.Recorded
	}
	open := s.opening(ctx)
	c, a := d.Customer, d.ShipTo
	o.Customer = openapi.OrderCustomer{Guest: c.Guest, Name: open.text(c.Name), Email: open.text(c.Email), Phone: open.text(c.Phone)}
	if c.ID != "" {
		o.Customer.Id = &c.ID
	}
	o.ShipTo = &openapi.OrderAddress{
		Name: open.text(a.Name), Line1: open.text(a.Line1), Line2: open.text(a.Line2), City: open.text(a.City),
		Region: open.text(a.Region), PostalCode: open.text(a.PostalCode), Country: a.Country,
	}
	o.Personal = open.withheld()
	return o, open.err
}

func lines(rows []orderdetails.Line) []openapi.OrderLine {
	out := make([]openapi.OrderLine, len(rows))
	for i, l := range rows {
		out[i] = openapi.OrderLine{
			Line: l.Line, Sku: l.SKU, Name: l.Name, Quantity: int64(l.Quantity), UnitPrice: l.UnitPrice,
			Discount: l.Discount, Tax: l.Tax, TaxAdded: l.TaxAdded(), Total: l.Total,
			Open: int64(l.Open), Allocated: int64(l.Allocated), Shipped: int64(l.Shipped), Delivered: int64(l.Delivered),
			Cancelled: int64(l.Cancelled), Returned: int64(l.Returned),
		}
	}
	return out
}

func paymentOf(p orderdetails.Payment) openapi.OrderPayment {
	out := openapi.OrderPayment{
		Status: openapi.OrderPaymentStatus(p.Status), Authorised: p.Authorised, Captured: p.Captured, Refunded: p.Refunded, Attempt: p.Attempt,
	}
	if !p.ExpiresAt.IsZero() {
		out.ExpiresAt = &p.ExpiresAt
	}
	if p.Action != nil {
		out.Action = &openapi.PaymentAction{Type: p.Action.Type, Url: p.Action.URL}
	}
	return out
}

func rejection(r *orderdetails.Rejection) *openapi.Rejection {
	if r == nil {
		return nil
	}
	out := &openapi.Rejection{Code: r.Code, DeclineCode: some(r.DeclineCode), Detail: some(r.Detail)}
	if len(r.Lines) > 0 {
		short := make([]openapi.ShortLine, len(r.Lines))
		for i, l := range r.Lines {
			short[i] = shortLine(l)
		}
		out.Lines = &short
	}
	return out
}

func shortLine(l events.ShortLine) openapi.ShortLine {
	return openapi.ShortLine{Line: l.Line, Sku: l.SKU, Requested: int64(l.Requested), Available: int64(l.Available)}
}

// some is nil for an empty text, which is then left out.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
