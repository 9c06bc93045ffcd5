package query

import (
	"context"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
	"github.com/daybook-dev/daybook/projections/orderlist"
)

// GetOrder serves GET /v1/orders/{id}.
func (s *Server) GetOrder(ctx context.Context, in openapi.GetOrderRequestObject) (openapi.GetOrderResponseObject, error) {
	ask := asked(ctx)
	if in.Params.Version != nil {
		ask.Revision = new(uint64(*in.Params.Version)) //nolint:gosec // not negative: the schema says so
	}
	a, err := s.queries.Order(ctx, ask, in.Id)
	if err != nil {
		return nil, err
	}
	body := shown.Order(a.Shown, a.Position)
	body.AsOf, body.KnownAt = a.AsOf, a.KnownAt
	return openapi.GetOrder200JSONResponse{Body: body, Headers: openapi.GetOrder200ResponseHeaders(headersOf(a.Shown.Revision, a.Answer))}, nil
}

// ListOrders serves GET /v1/orders.
func (s *Server) ListOrders(ctx context.Context, in openapi.ListOrdersRequestObject) (openapi.ListOrdersResponseObject, error) {
	f := orderlist.Filter{CustomerID: value(in.Params.Customer), Country: value(in.Params.Country)}
	if in.Params.Status != nil {
		f.Status = string(*in.Params.Status)
	}
	l, err := s.queries.Orders(ctx, asked(ctx), f, pageOf(ctx))
	if err != nil {
		return nil, err
	}
	body, h := listed(ctx, l, orderSummary)
	return openapi.ListOrders200JSONResponse{Body: openapi.OrderPage(body), Headers: openapi.ListOrders200ResponseHeaders(h)}, nil
}

// ListCustomerOrders serves GET /v1/customers/{id}/orders.
func (s *Server) ListCustomerOrders(ctx context.Context, in openapi.ListCustomerOrdersRequestObject) (openapi.ListCustomerOrdersResponseObject, error) {
	l, err := s.queries.Orders(ctx, asked(ctx), orderlist.Filter{CustomerID: in.Id}, pageOf(ctx))
	if err != nil {
		return nil, err
	}
	body, h := listed(ctx, l, orderSummary)
	return openapi.ListCustomerOrders200JSONResponse{Body: openapi.OrderPage(body), Headers: openapi.ListCustomerOrders200ResponseHeaders(h)}, nil
}

func orderSummary(o orderlist.Item) openapi.OrderSummary {
	return openapi.OrderSummary{
		Id: o.Key, Number: o.Number, Status: openapi.OrderStatus(o.Status), Total: o.Total, Currency: o.Currency,
		PlacedAt: o.PlacedAt, Country: o.Country, CustomerId: shown.Some(o.CustomerID),
	}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
