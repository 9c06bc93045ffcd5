package query

import (
	"context"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/orderlist"
	"github.com/daybook-dev/daybook/projections/products"
)

// ListOrders serves GET /v1/orders.
func (s *Server) ListOrders(ctx context.Context, in openapi.ListOrdersRequestObject) (openapi.ListOrdersResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	f := orderlist.Filter{CustomerID: value(in.Params.Customer), Country: value(in.Params.Country)}
	if in.Params.Status != nil {
		f.Status = string(*in.Params.Status)
	}
	page, err := s.orders(ctx, ask, f, in.Params.Cursor, limitOf(in.Params.Limit))
	if err != nil {
		return nil, err
	}
	return openapi.ListOrders200JSONResponse{Body: page, Headers: openapi.ListOrders200ResponseHeaders{
		DaybookPosition: page.Position, Link: link(ctx, page.Next),
	}}, nil
}

// ListCustomerOrders serves GET /v1/customers/{id}/orders.
func (s *Server) ListCustomerOrders(ctx context.Context, in openapi.ListCustomerOrdersRequestObject) (openapi.ListCustomerOrdersResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	page, err := s.orders(ctx, ask, orderlist.Filter{CustomerID: in.Id}, in.Params.Cursor, limitOf(in.Params.Limit))
	if err != nil {
		return nil, err
	}
	return openapi.ListCustomerOrders200JSONResponse{Body: page, Headers: openapi.ListCustomerOrders200ResponseHeaders{
		DaybookPosition: page.Position, Link: link(ctx, page.Next),
	}}, nil
}

func (s *Server) orders(ctx context.Context, ask projection.Ask, f orderlist.Filter, given *string, limit int) (openapi.OrderPage, error) {
	filter := "orders/" + f.Status + "/" + f.CustomerID + "/" + f.Country + momentKey(ask)
	keys, err := after(given, filter, 2)
	if err != nil {
		return openapi.OrderPage{}, err
	}
	var from *orderlist.Cursor
	if keys != nil {
		at, err := time.Parse(time.RFC3339Nano, keys[0])
		if err != nil {
			return openapi.OrderPage{}, api.NewProblem("bad_cursor", "the cursor is not one of this list")
		}
		from = &orderlist.Cursor{PlacedAt: at, Key: keys[1]}
	}
	page, answer, err := s.list.List(ctx, ask, f, from, limit)
	if err != nil {
		return openapi.OrderPage{}, problemOf(err)
	}
	out := openapi.OrderPage{Items: make([]openapi.OrderSummary, len(page.Items)), Position: api.Position(answer.Position)}
	out.AsOf, out.KnownAt = times(answer)
	for i, o := range page.Items {
		out.Items[i] = openapi.OrderSummary{
			Id: o.Key, Number: o.Number, Status: openapi.OrderStatus(o.Status), Total: o.Total, Currency: o.Currency,
			PlacedAt: o.PlacedAt, Country: o.Country, CustomerId: some(o.CustomerID),
		}
	}
	if page.Next != nil {
		out.Next = next(filter, page.Next.PlacedAt.Format(time.RFC3339Nano), page.Next.Key)
	}
	return out, nil
}

// momentKey binds a cursor to the moment its list was asked about.
func momentKey(ask projection.Ask) string {
	return "/" + formatted(ask.AsOf, time.RFC3339Nano) + "/" + formatted(ask.KnownAt, time.RFC3339Nano)
}

// formatted is "" for a time that was not given.
func formatted(t *time.Time, layout string) string {
	if t == nil {
		return ""
	}
	return t.Format(layout)
}

// ListProducts serves GET /v1/products.
func (s *Server) ListProducts(ctx context.Context, in openapi.ListProductsRequestObject) (openapi.ListProductsResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	filter := "products" + momentKey(ask)
	keys, err := after(in.Params.Cursor, filter, 1)
	if err != nil {
		return nil, err
	}
	from := ""
	if keys != nil {
		from = keys[0]
	}
	rows, more, answer, err := s.products.List(ctx, ask, from, limitOf(in.Params.Limit))
	if err != nil {
		return nil, problemOf(err)
	}
	page := openapi.ProductPage{Items: make([]openapi.Product, len(rows)), Position: api.Position(answer.Position)}
	page.AsOf, page.KnownAt = times(answer)
	for i, p := range rows {
		page.Items[i] = productOf(p)
	}
	if more {
		page.Next = next(filter, rows[len(rows)-1].SKU)
	}
	return openapi.ListProducts200JSONResponse{Body: page, Headers: openapi.ListProducts200ResponseHeaders{
		DaybookPosition: page.Position, Link: link(ctx, page.Next),
	}}, nil
}

// GetProduct serves GET /v1/products/{sku}.
func (s *Server) GetProduct(ctx context.Context, in openapi.GetProductRequestObject) (openapi.GetProductResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	p, answer, err := s.products.Get(ctx, ask, in.Sku)
	if err != nil {
		return nil, problemOf(err)
	}
	if p == nil {
		return nil, notFound(ask, "product_not_found", "there is no product %s", in.Sku)
	}
	body, position := productOf(*p), api.Position(answer.Position)
	body.Position = &position
	body.AsOf, body.KnownAt = times(answer)
	return openapi.GetProduct200JSONResponse{Body: body, Headers: openapi.GetProduct200ResponseHeaders{
		ETag: etag(p.Revision, answer), DaybookPosition: position,
	}}, nil
}

func productOf(p products.Product) openapi.Product {
	return openapi.Product{Sku: p.SKU, Name: p.Name, Prices: p.Prices, TaxClass: p.TaxClass, Status: p.Status, Revision: p.Revision}
}

func etag(revision int64, a projection.Answer) string {
	return api.ETag(uint64(max(revision, 0)), a.Position)
}

// GetStock serves GET /v1/stock/{sku}.
func (s *Server) GetStock(ctx context.Context, in openapi.GetStockRequestObject) (openapi.GetStockResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	l, answer, err := s.stock.Get(ctx, ask, in.Sku)
	if err != nil {
		return nil, problemOf(err)
	}
	if l == nil {
		return nil, notFound(ask, "stock_not_found", "there is no stock of %s", in.Sku)
	}
	position := api.Position(answer.Position)
	body := openapi.Stock{
		Sku: l.SKU, Location: events.MainLocation, OnHand: l.OnHand, Reserved: l.Reserved, Safety: l.Safety, Available: l.Available(),
		Revision: l.Revision, Position: &position,
	}
	body.AsOf, body.KnownAt = times(answer)
	return openapi.GetStock200JSONResponse{Body: body, Headers: openapi.GetStock200ResponseHeaders{
		ETag: etag(l.Revision, answer), DaybookPosition: position,
	}}, nil
}

// GetCustomer serves GET /v1/customers/{id}.
func (s *Server) GetCustomer(ctx context.Context, in openapi.GetCustomerRequestObject) (openapi.GetCustomerResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	c, answer, err := s.customers.Get(ctx, ask, in.Id)
	if err != nil {
		return nil, problemOf(err)
	}
	if c == nil {
		return nil, notFound(ask, "customer_not_found", "there is no customer %s", in.Id)
	}
	open, position := s.opening(ctx), api.Position(answer.Position)
	body := openapi.Customer{
		Id: c.ID, Name: open.text(c.Contact.Name), Email: open.text(c.Contact.Email), Phone: open.text(c.Contact.Phone),
		Country: some(c.Country), Status: c.Status, RegisteredAt: &c.RegisteredAt, Revision: c.Revision, Position: &position,
	}
	body.AsOf, body.KnownAt = times(answer)
	body.Personal = open.withheld()
	return openapi.GetCustomer200JSONResponse{Body: body, Headers: openapi.GetCustomer200ResponseHeaders{
		ETag: etag(c.Revision, answer), DaybookPosition: position,
	}}, open.err
}
