package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// PlaceOrder serves POST /v1/orders.
func (s *Server) PlaceOrder(ctx context.Context, in openapi.PlaceOrderRequestObject) (openapi.PlaceOrderResponseObject, error) {
	r := api.RequestOf(ctx)
	var id, resource string
	if in.Body.Id != nil {
		id = *in.Body.Id
		resource = es.StreamID{Category: "order", Key: id}.String()
	} else {
		resource = "orders"
		id = order.IDFrom(r.Choose("order", r.CommandID(resource)))
	}
	receipt, err := es.HandlePrepared(ctx, s.Handler, id, r.Call(resource), func(ctx context.Context) (es.Decision[order.Order], error) {
		placed, err := s.snapshot(ctx, id, in.Body)
		return order.Place{Order: placed}, err
	})
	if err != nil {
		return nil, err
	}
	shown, err := s.shown(ctx, id, receipt, r.Wait)
	if err != nil {
		return nil, err
	}
	return openapi.PlaceOrder201JSONResponse{Body: shown.order, Headers: openapi.PlaceOrder201ResponseHeaders{
		Location: "/v1/orders/" + id, ETag: shown.etag, DaybookPosition: shown.position,
		IdempotentReplayed: replayed(receipt), PreferenceApplied: applied(r),
	}}, nil
}

// CancelOrder serves POST /v1/orders/{id}/cancel.
func (s *Server) CancelOrder(ctx context.Context, in openapi.CancelOrderRequestObject) (openapi.CancelOrderResponseObject, error) {
	r := api.RequestOf(ctx)
	stream := es.StreamID{Category: "order", Key: in.Id}
	call := r.Call(stream.String())
	var err error
	if in.Body != nil && in.Body.Reason != nil {
		if call.Reason, err = s.sealReason(ctx, stream, "order.cancel_requested", *in.Body.Reason); err != nil {
			return nil, err
		}
	}
	receipt, err := es.Handle(ctx, s.Handler, order.RequestCancel{OrderID: in.Id}, call)
	if err != nil {
		return nil, err
	}
	shown, err := s.shown(ctx, in.Id, receipt, r.Wait)
	if err != nil {
		return nil, err
	}
	headers := openapi.CancelOrder200ResponseHeaders{
		Location: "/v1/orders/" + in.Id, ETag: shown.etag, DaybookPosition: shown.position,
		IdempotentReplayed: replayed(receipt), PreferenceApplied: applied(r),
	}
	if shown.order.Status == openapi.Cancelling {
		return openapi.CancelOrder202JSONResponse{Body: shown.order, Headers: openapi.CancelOrder202ResponseHeaders(headers)}, nil
	}
	return openapi.CancelOrder200JSONResponse{Body: shown.order, Headers: headers}, nil
}

// shownOrder is an order as an answer to a command.
type shownOrder struct {
	order          openapi.Order
	etag, position string
}

// shown is the order's own stream up to the receipt, or, after waiting, the row of its read model.
func (s *Server) shown(ctx context.Context, id string, r es.Receipt, wait time.Duration) (shownOrder, error) {
	if wait > 0 {
		o, ok, err := s.Orders.Await(ctx, r, wait)
		if err != nil {
			return shownOrder{}, err
		}
		if ok {
			position, err := strconv.ParseUint(o.Position, 10, 64)
			if err != nil {
				return shownOrder{}, fmt.Errorf("position of order %s: %w", id, err)
			}
			return shownOrder{o, api.ETag(uint64(o.Revision), position), o.Position}, nil //nolint:gosec // a revision
		}
	}
	history, err := s.history(ctx, r)
	if err != nil {
		return shownOrder{}, err
	}
	o, err := s.Orders.Fold(ctx, history)
	o.Position = api.Position(r.Position)
	return shownOrder{o, api.ETag(r.Revision, r.Position), o.Position}, err
}

// history is an order's stream up to a receipt; a new order's is in the receipt itself.
func (s *Server) history(ctx context.Context, r es.Receipt) ([]es.Recorded, error) {
	if len(r.Records) > 0 && r.Records[0].Revision == 0 {
		out := make([]es.Recorded, len(r.Records))
		for i, record := range r.Records {
			var err error
			if out[i], err = s.Handler.Catalog().Open(record); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	var out []es.Recorded
	_, err := es.Load[order.Order](ctx, s.Handler, r.Stream.Key, func(e es.Recorded) bool {
		if e.Revision > r.Revision {
			return true
		}
		out = append(out, e)
		return false
	})
	return out, err
}

// snapshot fills a request in: prices, number, sealed personal data.
func (s *Server) snapshot(ctx context.Context, id string, in *openapi.NewOrder) (events.OrderPlaced, error) {
	buyer := events.Buyer{Guest: in.Customer.Id == nil}
	subject := "guest-" + id
	if !buyer.Guest {
		buyer.ID = *in.Customer.Id
		subject = es.StreamID{Category: "customer", Key: buyer.ID}.String()
		c, err := es.Load[customer.Customer](ctx, s.Handler, buyer.ID, nil)
		if err != nil {
			return events.OrderPlaced{}, err
		}
		if !c.State.Registered {
			return events.OrderPlaced{}, api.NewProblem("unknown_customer", "there is no customer %s", buyer.ID).At("#/customer/id", "unknown_customer", "is not registered")
		}
	}
	quote, err := s.quote(ctx, in)
	if err != nil {
		return events.OrderPlaced{}, err
	}
	number, err := s.numbers.Next(ctx)
	if err != nil {
		return events.OrderPlaced{}, err
	}
	placed := quote.Snapshot(id)
	placed.Number, placed.Customer, placed.ShortPolicy = strconv.FormatUint(number, 10), buyer, "reject"
	s.seal(ctx, subject, &placed, in, &err)
	return placed, err
}

func (s *Server) seal(ctx context.Context, subject string, placed *events.OrderPlaced, in *openapi.NewOrder, err *error) {
	seal := s.sealing(ctx, subject, es.StreamID{Category: "order", Key: placed.OrderID}, "order.placed")
	c, a := in.Customer, in.ShipTo
	placed.Customer.Name, placed.Customer.Email, placed.Customer.Phone = seal.text("customer.name", c.Name), seal.text("customer.email", c.Email), seal.text("customer.phone", c.Phone)
	placed.ShipTo = events.Address{
		Name: seal.text("ship_to.name", a.Name), Line1: seal.text("ship_to.line1", &a.Line1), Line2: seal.text("ship_to.line2", a.Line2),
		City: seal.text("ship_to.city", &a.City), Region: seal.text("ship_to.region", a.Region), PostalCode: seal.text("ship_to.postal_code", a.PostalCode),
		Country: a.Country, TaxRegion: placed.ShipTo.TaxRegion,
	}
	placed.Payment = events.PaymentMeans{Token: seal.text("payment.token", &in.Payment.Token)}
	*err = seal.err
}

// quote reckons a request up at the catalogue's prices. Before it refuses, the products are read afresh.
func (s *Server) quote(ctx context.Context, in *openapi.NewOrder) (order.Quote, error) {
	request := order.Request{Currency: in.Currency, Country: in.ShipTo.Country, Region: in.ShipTo.Region, ShippingMethod: in.ShippingMethod}
	skus := make([]string, len(in.Lines))
	for i, l := range in.Lines {
		request.Lines = append(request.Lines, order.Wanted{SKU: l.Sku, Quantity: int(l.Quantity)})
		skus[i] = l.Sku
	}
	var quote order.Quote
	for _, fresh := range []bool{false, true} {
		offers, err := s.catalogue.offers(ctx, skus, fresh)
		if err != nil {
			return quote, err
		}
		quote, err = s.Shop.Quote(request, func(sku string) (order.Offer, bool) { o, ok := offers[sku]; return o, ok })
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
	p := api.NewProblem("price_changed", "the order comes to %d, not %d", q.Total, expected).At("#/expected_total", "price_changed", "is now %d", q.Total)
	p.Quote = quoteOf(q)
	return p
}

// quoteOf shows a quote.
func quoteOf(q order.Quote) *openapi.Quote {
	lines := make([]openapi.QuoteLine, len(q.Lines))
	for i, l := range q.Lines {
		lines[i] = openapi.QuoteLine{Line: l.Line, Sku: l.SKU, Quantity: int64(l.Quantity), UnitPrice: l.UnitPrice, Discount: l.Discount, Tax: l.Tax, TaxAdded: l.TaxAdded(), Total: l.Total}
	}
	return &openapi.Quote{
		Currency: q.Currency, Goods: q.Goods, Discount: q.Discount, Shipping: q.Shipping.Price, ShippingTax: q.Shipping.Tax,
		TaxIncluded: q.TaxIncluded, TaxAdded: q.TaxAdded, Total: q.Total, Lines: lines,
	}
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
	p := api.NewProblem(code, "%s", err.Error())
	for _, one := range problems {
		pointer := "#/" + one.Field
		if one.Line > 0 {
			pointer = fmt.Sprintf("#/lines/%d/%s", one.Line-1, one.Field)
		}
		p.At(pointer, string(one.Code), "%s", one.Detail)
	}
	return p
}

// sealReason seals a free text under the key of whom the order is about.
func (s *Server) sealReason(ctx context.Context, stream es.StreamID, eventType, reason string) (es.Sealed, error) {
	o, err := es.Load[order.Order](ctx, s.Handler, stream.Key, func(e es.Recorded) bool { return e.Revision > 0 })
	if err != nil || o.Revision == es.NoStream {
		return es.Sealed{}, err // the command will say that there is no such order
	}
	subject := "guest-" + stream.Key
	if id := o.State.Placed.Customer.ID; id != "" {
		subject = es.StreamID{Category: "customer", Key: id}.String()
	}
	return s.Keys.Seal(ctx, subject, stream, eventType, "reason", reason)
}
