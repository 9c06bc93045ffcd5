package api

import (
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/commands/order"
)

// quoteOf maps a quote.
func quoteOf(q *order.Quote) *openapi.Quote {
	if q == nil {
		return nil
	}
	lines := make([]openapi.QuoteLine, len(q.Lines))
	for i, l := range q.Lines {
		lines[i] = openapi.QuoteLine{Line: l.Line, Sku: l.SKU, Quantity: int64(l.Quantity), UnitPrice: l.UnitPrice, Discount: l.Discount, Tax: l.Tax, TaxAdded: l.TaxAdded(), Total: l.Total}
	}
	return &openapi.Quote{
		Currency: q.Currency, Goods: q.Goods, Discount: q.Discount, Shipping: q.Shipping.Price, ShippingTax: q.Shipping.Tax,
		TaxIncluded: q.TaxIncluded, TaxAdded: q.TaxAdded, Total: q.Total, Lines: lines,
	}
}
