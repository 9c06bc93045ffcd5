package query

import (
	"context"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
)

// ListProducts serves GET /v1/products.
func (s *Server) ListProducts(ctx context.Context, _ openapi.ListProductsRequestObject) (openapi.ListProductsResponseObject, error) {
	l, err := s.queries.Products(ctx, asked(ctx), pageOf(ctx))
	if err != nil {
		return nil, err
	}
	body, h := listed(ctx, l, shown.Product)
	return openapi.ListProducts200JSONResponse{Body: openapi.ProductPage(body), Headers: openapi.ListProducts200ResponseHeaders(h)}, nil
}

// GetProduct serves GET /v1/products/{sku}.
func (s *Server) GetProduct(ctx context.Context, in openapi.GetProductRequestObject) (openapi.GetProductResponseObject, error) {
	a, err := s.queries.Product(ctx, asked(ctx), in.Sku)
	if err != nil {
		return nil, err
	}
	body, h := shown.Product(a.Shown), headersOf(a.Shown.Revision, a.Answer)
	body.Position, body.AsOf, body.KnownAt = &h.DaybookPosition, a.AsOf, a.KnownAt
	return openapi.GetProduct200JSONResponse{Body: body, Headers: openapi.GetProduct200ResponseHeaders(h)}, nil
}

// GetStock serves GET /v1/stock/{sku}.
func (s *Server) GetStock(ctx context.Context, in openapi.GetStockRequestObject) (openapi.GetStockResponseObject, error) {
	a, err := s.queries.Stock(ctx, asked(ctx), in.Sku)
	if err != nil {
		return nil, err
	}
	body, h := shown.Stock(a.Shown), headersOf(a.Shown.Revision, a.Answer)
	body.Position, body.AsOf, body.KnownAt = &h.DaybookPosition, a.AsOf, a.KnownAt
	return openapi.GetStock200JSONResponse{Body: body, Headers: openapi.GetStock200ResponseHeaders(h)}, nil
}

// GetCustomer serves GET /v1/customers/{id}.
func (s *Server) GetCustomer(ctx context.Context, in openapi.GetCustomerRequestObject) (openapi.GetCustomerResponseObject, error) {
	a, err := s.queries.Customer(ctx, asked(ctx), in.Id)
	if err != nil {
		return nil, err
	}
	body, h := shown.Customer(a.Shown), headersOf(a.Shown.Revision, a.Answer)
	body.Position, body.AsOf, body.KnownAt = &h.DaybookPosition, a.AsOf, a.KnownAt
	return openapi.GetCustomer200JSONResponse{Body: body, Headers: openapi.GetCustomer200ResponseHeaders(h)}, nil
}
