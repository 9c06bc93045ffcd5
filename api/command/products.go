package command

import (
	"context"
	"net/url"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/projections/products"
)

// AddProduct serves POST /v1/products.
func (s *Server) AddProduct(ctx context.Context, in openapi.AddProductRequestObject) (openapi.AddProductResponseObject, error) {
	done, err := s.commands.AddProduct(ctx, asked(ctx), product.Add{SKU: in.Body.Sku, Name: in.Body.Name, Prices: in.Body.Prices, TaxClass: in.Body.TaxClass})
	if err != nil {
		return nil, err
	}
	return openapi.AddProduct201JSONResponse{
		Body: productOf(done), Headers: openapi.AddProduct201ResponseHeaders(headersOf(done, "/v1/products/"+url.PathEscape(in.Body.Sku))),
	}, nil
}

// ChangeProduct serves PATCH /v1/products/{sku}.
func (s *Server) ChangeProduct(ctx context.Context, in openapi.ChangeProductRequestObject) (openapi.ChangeProductResponseObject, error) {
	change := product.Change{SKU: in.Sku, Name: in.Body.Name}
	if in.Body.Prices != nil {
		change.Prices = *in.Body.Prices
	}
	if in.Body.Status != nil {
		change.Status = new(product.Status(*in.Body.Status))
	}
	done, err := s.commands.ChangeProduct(ctx, asked(ctx), change)
	if err != nil {
		return nil, err
	}
	h := headersOf(done, "")
	return openapi.ChangeProduct200JSONResponse{Body: productOf(done), Headers: openapi.ChangeProduct200ResponseHeaders{
		DaybookPosition: h.DaybookPosition, ETag: h.ETag, IdempotentReplayed: h.IdempotentReplayed,
	}}, nil
}

func productOf(d shop.Done[products.Product]) openapi.Product {
	body := shown.Product(d.Shown)
	body.Revision = int64Of(d.Revision)
	return body
}
