// Package shown maps results of the shop to the bodies of openapi.yaml.
package shown

import (
	"strconv"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/products"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// Product is the body of a product.
func Product(p products.Product) openapi.Product {
	return openapi.Product{Sku: p.SKU, Name: p.Name, Prices: p.Prices, TaxClass: p.TaxClass, Status: p.Status, Revision: p.Revision}
}

// Stock is the body of a SKU's stock.
func Stock(l stocklevels.Level) openapi.Stock {
	return openapi.Stock{
		Sku: l.SKU, Location: events.MainLocation, OnHand: l.OnHand, Reserved: l.Reserved, Safety: l.Safety, Available: l.Available(), Revision: l.Revision,
	}
}

// Customer is the body of a customer.
func Customer(c shop.Customer) openapi.Customer {
	return openapi.Customer{
		Id: c.ID, Name: Text(c.Name), Email: Text(c.Email), Phone: Text(c.Phone), Country: Some(c.Country), Status: c.Status,
		RegisteredAt: c.RegisteredAt, Revision: c.Revision, Personal: Personal(c.Withheld),
	}
}

// Order is the body of an order. position is the one that the answer includes.
func Order(o shop.Order, position uint64) openapi.Order {
	out := openapi.Order{
		Id: o.Key, Number: o.Number, Status: openapi.OrderStatus(o.Status), Held: o.Held, Currency: o.Currency,
		Goods: o.Goods, Discount: o.Discount, Shipping: o.Shipping.Price, ShippingTax: o.Shipping.Tax,
		TaxIncluded: o.TaxIncluded, TaxAdded: o.TaxAdded, Total: o.Total,
		Lines: lines(o.Lines), Payment: payment(o.Payment),
		Fulfilment: openapi.AxisStatus{Status: o.Fulfilment}, Return: openapi.AxisStatus{Status: o.Return},
		Rejection: rejection(o.Rejection), PlacedAt: o.PlacedAt, Revision: o.Revision, Position: strconv.FormatUint(position, 10),
	}
	if o.Recorded {
		out.Recorded = &o.Recorded
	}
	c, a := o.Contact, o.Delivery
	out.Customer = openapi.OrderCustomer{Guest: o.Customer.Guest, Id: Some(o.Customer.ID), Name: Text(c.Name), Email: Text(c.Email), Phone: Text(c.Phone)}
	out.ShipTo = &openapi.OrderAddress{
		Name: Text(a.Name), Line1: Text(a.Line1), Line2: Text(a.Line2), City: Text(a.City),
		Region: Text(a.Region), PostalCode: Text(a.PostalCode), Country: o.ShipTo.Country,
	}
	out.Personal = Personal(o.Withheld)
	return out
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

func payment(p orderdetails.Payment) openapi.OrderPayment {
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
	out := &openapi.Rejection{Code: r.Code, DeclineCode: Some(r.DeclineCode), Detail: Some(r.Detail)}
	if len(r.Lines) > 0 {
		short := make([]openapi.ShortLine, len(r.Lines))
		for i, l := range r.Lines {
			short[i] = openapi.ShortLine{Line: l.Line, Sku: l.SKU, Requested: int64(l.Requested), Available: int64(l.Available)}
		}
		out.Lines = &short
	}
	return out
}

// Personal is the reason why fields are null; nil if none is.
func Personal(w shop.Withheld) *openapi.Personal {
	if w == "" {
		return nil
	}
	return new(openapi.Personal(w))
}

// Text is a personal field.
func Text(t shop.Text) openapi.PersonalText { return openapi.PersonalText(t) }

// Some is nil for an empty text, which is omitted.
func Some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
