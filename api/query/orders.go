package query

import (
	"context"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
	"github.com/daybook-dev/daybook/internal/shop"
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
	return openapi.ListOrders200JSONResponse{Body: orderPage(l), Headers: openapi.ListOrders200ResponseHeaders(pageHeadersOf(ctx, l.Next, l.Answer))}, nil
}

// ListCustomerOrders serves GET /v1/customers/{id}/orders.
func (s *Server) ListCustomerOrders(ctx context.Context, in openapi.ListCustomerOrdersRequestObject) (openapi.ListCustomerOrdersResponseObject, error) {
	l, err := s.queries.Orders(ctx, asked(ctx), orderlist.Filter{CustomerID: in.Id}, pageOf(ctx))
	if err != nil {
		return nil, err
	}
	return openapi.ListCustomerOrders200JSONResponse{
		Body: orderPage(l), Headers: openapi.ListCustomerOrders200ResponseHeaders(pageHeadersOf(ctx, l.Next, l.Answer)),
	}, nil
}

func orderPage(l shop.List[orderlist.Item]) openapi.OrderPage {
	items := each(l.Items, func(o orderlist.Item) openapi.OrderSummary {
		return openapi.OrderSummary{
			Id: o.Key, Number: o.Number, Status: openapi.OrderStatus(o.Status), Total: o.Total, Currency: o.Currency,
			PlacedAt: o.PlacedAt, Country: o.Country, CustomerId: shown.Some(o.CustomerID),
		}
	})
	return openapi.OrderPage{Items: items, Position: api.Position(l.Position), Next: l.Next, AsOf: l.AsOf, KnownAt: l.KnownAt}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
