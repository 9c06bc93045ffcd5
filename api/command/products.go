package command

import (
	"context"
	"maps"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/internal/es"
)

// AddProduct serves POST /v1/products.
func (s *Server) AddProduct(ctx context.Context, in openapi.AddProductRequestObject) (openapi.AddProductResponseObject, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	add := product.Add{SKU: in.Body.Sku, Name: in.Body.Name, Prices: in.Body.Prices}
	if in.Body.TaxClass != nil {
		add.TaxClass = *in.Body.TaxClass
	}
	if err := checkPrices(add.Prices); err != nil {
		return nil, err
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
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	change := product.Change{SKU: in.Sku}
	if in.Body.Name != nil {
		change.Name = *in.Body.Name
	}
	if in.Body.Prices != nil {
		change.Prices = *in.Body.Prices
		if err := checkPrices(change.Prices); err != nil {
			return nil, err
		}
	}
	if in.Body.Status != nil {
		change.Status = product.Status(*in.Body.Status)
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

// checkPrices holds the names of prices to ISO 4217's form, which the schema cannot say.
func checkPrices(prices map[string]int64) error {
	for currency := range prices {
		if len(currency) != 3 || currency[0] < 'A' || currency[0] > 'Z' || currency[1] < 'A' || currency[1] > 'Z' || currency[2] < 'A' || currency[2] > 'Z' {
			return api.Invalid(openapi.FieldError{Pointer: "#/prices/" + currency, Code: "currency", Detail: "is not an ISO 4217 code"})
		}
	}
	return nil
}
