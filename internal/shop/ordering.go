package shop

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// NewOrder is the input of PlaceOrder. A nil field was not given.
type NewOrder struct {
	ID             string // empty: the shop chooses one
	Currency       string
	ShippingMethod string
	Buyer          NewCustomer // ID empty: a guest
	ShipTo         Address
	Lines          []NewLine
	ExpectedTotal  *int64 // a different total is refused
	PaymentToken   string
}

// NewLine is one line of a new order.
type NewLine struct {
	SKU      string
	Quantity int
}

// Address is a delivery address.
type Address struct {
	Name, Line2, Region, PostalCode *string
	Line1, City, Country            string
}

// PlaceOrder records an order at the catalogue's prices. The result is the order as placed, or after r.Wait.
func (c *Commands) PlaceOrder(ctx context.Context, r Request, in NewOrder) (Done[Order], error) {
	resource := "orders"
	if in.ID != "" {
		resource = streamOf("order", in.ID).String()
	} else {
		in.ID = order.IDFrom(r.Choose("order", r.CommandID(resource)))
	}
	receipt, err := es.HandlePrepared(ctx, c.Handler, in.ID, r.call(resource), func(ctx context.Context) (es.Decision[order.Order], error) {
		placed, err := c.snapshot(ctx, in)
		return order.Place{Order: placed}, err
	})
	if err != nil {
		return Done[Order]{}, err
	}
	return c.shown(ctx, receipt, r.Wait)
}

// CancelOrder requests a cancellation. The result is the order at the request, or after r.Wait.
func (c *Commands) CancelOrder(ctx context.Context, r Request, id string, reason *string) (Done[Order], error) {
	stream := streamOf("order", id)
	call := r.call(stream.String())
	var err error
	if reason != nil {
		if call.Reason, err = c.sealReason(ctx, stream, "order.cancel_requested", *reason); err != nil {
			return Done[Order]{}, err
		}
	}
	receipt, err := es.Handle(ctx, c.Handler, order.RequestCancel{OrderID: id}, call)
	if err != nil {
		return Done[Order]{}, err
	}
	return c.shown(ctx, receipt, r.Wait)
}

// shown is the order folded from its stream up to the receipt, or, after waiting, its read model.
func (c *Commands) shown(ctx context.Context, r es.Receipt, wait time.Duration) (Done[Order], error) {
	if wait > 0 {
		o, ok, err := c.Queries.await(ctx, r, wait)
		if err != nil {
			return Done[Order]{}, err
		}
		if ok {
			return Done[Order]{o.Shown, uint64(o.Shown.Revision), o.Position, r.Replayed}, nil //nolint:gosec // a revision
		}
	}
	history, err := c.history(ctx, r)
	if err != nil {
		return Done[Order]{}, err
	}
	o, err := c.Queries.fold(ctx, history)
	return Done[Order]{o, r.Revision, r.Position, r.Replayed}, err
}

// history is the order's stream up to a receipt. The receipt of a new order contains it.
func (c *Commands) history(ctx context.Context, r es.Receipt) ([]es.Recorded, error) {
	if len(r.Records) > 0 && r.Records[0].Revision == 0 {
		out := make([]es.Recorded, len(r.Records))
		for i, record := range r.Records {
			var err error
			if out[i], err = c.Handler.Catalog().Open(record); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	var out []es.Recorded
	_, err := es.Load[order.Order](ctx, c.Handler, r.Stream.Key, func(e es.Recorded) bool {
		if e.Revision > r.Revision {
			return true
		}
		out = append(out, e)
		return false
	})
	return out, err
}

// snapshot completes an order: prices, number, sealed personal data.
func (c *Commands) snapshot(ctx context.Context, in NewOrder) (events.OrderPlaced, error) {
	buyer := events.Buyer{Guest: in.Buyer.ID == "", ID: in.Buyer.ID}
	subject := "guest-" + in.ID
	if !buyer.Guest {
		subject = streamOf("customer", buyer.ID).String()
		l, err := es.Load[customer.Customer](ctx, c.Handler, buyer.ID, nil)
		if err != nil {
			return events.OrderPlaced{}, err
		}
		if !l.State.Registered {
			return events.OrderPlaced{}, Refuse("unknown_customer", "there is no customer %s", buyer.ID).At("/customer/id", "unknown_customer", "is not registered")
		}
	}
	quote, err := c.quote(ctx, in)
	if err != nil {
		return events.OrderPlaced{}, err
	}
	number, err := c.numbers.Next(ctx)
	if err != nil {
		return events.OrderPlaced{}, err
	}
	placed := quote.Snapshot(in.ID)
	placed.Number, placed.Customer, placed.ShortPolicy = strconv.FormatUint(number, 10), buyer, "reject"
	return placed, c.seal(ctx, subject, &placed, in)
}

func (c *Commands) seal(ctx context.Context, subject string, placed *events.OrderPlaced, in NewOrder) error {
	seal := c.sealing(ctx, subject, streamOf("order", placed.OrderID), "order.placed")
	b, a := in.Buyer, in.ShipTo
	placed.Customer.Name, placed.Customer.Email, placed.Customer.Phone = seal.text("customer.name", b.Name), seal.text("customer.email", b.Email), seal.text("customer.phone", b.Phone)
	placed.ShipTo = events.Address{
		Name: seal.text("ship_to.name", a.Name), Line1: seal.text("ship_to.line1", &a.Line1), Line2: seal.text("ship_to.line2", a.Line2),
		City: seal.text("ship_to.city", &a.City), Region: seal.text("ship_to.region", a.Region), PostalCode: seal.text("ship_to.postal_code", a.PostalCode),
		Country: a.Country, TaxRegion: placed.ShipTo.TaxRegion,
	}
	placed.Payment = events.PaymentMeans{Token: seal.text("payment.token", &in.PaymentToken)}
	return seal.err
}

// quote calculates an order at cached prices. Before it refuses, it reads the products from the store.
func (c *Commands) quote(ctx context.Context, in NewOrder) (order.Quote, error) {
	request := order.Request{Currency: in.Currency, Country: in.ShipTo.Country, Region: in.ShipTo.Region, ShippingMethod: in.ShippingMethod}
	skus := make([]string, len(in.Lines))
	for i, l := range in.Lines {
		request.Lines = append(request.Lines, order.Wanted{SKU: l.SKU, Quantity: l.Quantity})
		skus[i] = l.SKU
	}
	var quote order.Quote
	for _, fresh := range []bool{false, true} {
		offers, err := c.catalogue.offers(ctx, skus, fresh)
		if err != nil {
			return quote, err
		}
		quote, err = c.Shop.Quote(request, func(sku string) (order.Offer, bool) { o, ok := offers[sku]; return o, ok })
		changed := err == nil && in.ExpectedTotal != nil && *in.ExpectedTotal != quote.Total
		switch {
		case err == nil && !changed:
			return quote, nil
		case fresh && changed:
			return quote, priceChanged(*in.ExpectedTotal, quote)
		case fresh:
			return quote, notQuoted(err)
		}
	}
	return quote, nil
}

func priceChanged(expected int64, q order.Quote) error {
	r := Refuse("price_changed", "the order comes to %d, not %d", q.Total, expected).At("/expected_total", "price_changed", "is now %d", q.Total)
	r.Quote = &q
	return r
}

func notQuoted(err error) error {
	problems, ok := errors.AsType[order.Problems](err)
	if !ok || len(problems) == 0 {
		return err
	}
	code := problems[0].Code
	switch code {
	case order.BadQuantity, order.BadAmount, order.NoLines, order.DiscountAboveGoods:
		code = "validation"
	}
	r := Refuse(code, "%s", err.Error())
	for _, one := range problems {
		field := "/" + one.Field
		if one.Line > 0 {
			field = fmt.Sprintf("/lines/%d/%s", one.Line-1, one.Field)
		}
		r.At(field, string(one.Code), "%s", one.Detail)
	}
	return r
}
