package command

import (
	"context"
	"maps"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/kit/es"
)

// AddProduct serves POST /v1/products.
func (s *Server) AddProduct(ctx context.Context, in openapi.AddProductRequestObject) (openapi.AddProductResponseObject, error) {
	add := product.Add{SKU: in.Body.Sku, Name: in.Body.Name, Prices: in.Body.Prices, TaxClass: in.Body.TaxClass}
	if add.TaxClass != nil && !s.Shop.HasTaxClass(*add.TaxClass) {
		return nil, api.NewProblem(order.UnknownTaxClass, "the shop has no tax class %q", *add.TaxClass).
			At("#/tax_class", string(order.UnknownTaxClass), "is none of the shop's")
	}
	stream := es.StreamID{Category: "product", Key: add.SKU}
	receipt, body, err := es.HandleView(ctx, s.Handler, add, api.RequestOf(ctx).Call(stream.String()), onSale)
	if err != nil {
		return nil, err
	}
	body.Sku, body.Revision = add.SKU, int64Of(receipt.Revision)
	return openapi.AddProduct201JSONResponse{Body: body, Headers: openapi.AddProduct201ResponseHeaders{
		Location: "/v1/products/" + escape(add.SKU), ETag: api.ETag(receipt.Revision, receipt.Position),
		DaybookPosition: api.Position(receipt.Position), IdempotentReplayed: replayed(receipt),
	}}, nil
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
	call := api.RequestOf(ctx).Call(es.StreamID{Category: "product", Key: in.Sku}.String())
	receipt, body, err := es.HandleView(ctx, s.Handler, change, call, onSale)
	if err != nil {
		return nil, err
	}
	body.Sku, body.Revision = in.Sku, int64Of(receipt.Revision)
	return openapi.ChangeProduct200JSONResponse{Body: body, Headers: openapi.ChangeProduct200ResponseHeaders{
		ETag: api.ETag(receipt.Revision, receipt.Position), DaybookPosition: api.Position(receipt.Position), IdempotentReplayed: replayed(receipt),
	}}, nil
}

// onSale shows a product. The state goes on, so its prices are copied.
func onSale(p product.Product) openapi.Product {
	return openapi.Product{Name: p.Name, Prices: maps.Clone(p.Prices), TaxClass: p.TaxClass, Status: string(p.Status)}
}
