package order_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"pgregory.net/rapid"
)

func catalogue(sku string) (order.Offer, bool) {
	o, ok := map[string]order.Offer{
		"MUG-BLUE": {Name: "Blue mug", Prices: map[string]int64{"GBP": 1299}, TaxClass: "standard", Revision: 3},
		"BOOK":     {Name: "Book", Prices: map[string]int64{"GBP": 999, "EUR": 1200}, TaxClass: "zero"},
		"OLD":      {Name: "Old", Prices: map[string]int64{"GBP": 1}, TaxClass: "standard", Discontinued: true},
		"ODD":      {Name: "Odd", Prices: map[string]int64{"GBP": 1}, TaxClass: "luxury"},
	}[sku]
	return o, ok
}

func mugs(n int) order.Request {
	return order.Request{
		Currency: "GBP", Country: "GB", ShippingMethod: "standard", Lines: []order.Wanted{{SKU: "MUG-BLUE", Quantity: n}},
	}
}

func TestQuoteTwoMugs(t *testing.T) {
	q, err := order.DefaultShop().Quote(mugs(2), catalogue)
	if err != nil {
		t.Fatal(err)
	}
	l := q.Lines[0]
	got := []int64{q.Goods, q.Shipping.Price, q.TaxIncluded, q.Total, l.UnitPrice, l.Tax, l.Total, q.Discount, q.TaxAdded}
	if want := []int64{2598, 395, 499, 2993, 1299, 433, 2598, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	placed := q.Snapshot("tour-1")
	placed.Number = "1000001"
	given(t).When(order.Place{Order: placed}).Then(placed)
	if placed.Lines[0].ReservationID != "tour-1/1/1" || placed.Lines[0].ProductRevision != 3 || q.Lines[0].ReservationID != "" {
		t.Errorf("line %+v", placed.Lines[0])
	}
}

func TestQuoteAddsTaxWhereWanted(t *testing.T) {
	shop := order.DefaultShop()
	shop.PricesIncludeTax = false
	q, err := shop.Quote(mugs(2), catalogue)
	if err != nil {
		t.Fatal(err)
	}
	got := []int64{q.Goods, q.Lines[0].Tax, q.Lines[0].Total, q.Shipping.TaxAdded, q.TaxIncluded, q.TaxAdded, q.Total}
	if want := []int64{2598, 520, 3118, 79, 0, 599, 3592}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestQuoteDiscountsAndAgreedPrices(t *testing.T) {
	agreed, shipping := int64(1000), int64(0)
	r := mugs(1)
	r.Lines = append(r.Lines, order.Wanted{SKU: "BOOK", Quantity: 3, AgreedPrice: &agreed, AgreedName: "Signed book", Ref: "line:7"})
	r.Discounts = []events.Discount{{Amount: 100}, {Amount: 1}}
	r.ShippingPrice, r.ShippingMethod = &shipping, "courier"
	q, err := order.DefaultShop().Quote(r, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	// 101 over 1299 and 3000: 30.52 and 70.48
	if a, b := q.Lines[0], q.Lines[1]; a.Discount != 31 || b.Discount != 70 || a.Total != 1268 || a.Tax != 211 || b.Tax != 0 ||
		b.UnitPrice != 1000 || b.ListPrice != 999 || !b.Agreed || b.Name != "Signed book" || b.Ref != "line:7" {
		t.Errorf("lines %+v", q.Lines)
	}
	if q.Total != 1299+3000-101 || q.Discount != 101 || q.Shipping.Method != "courier" {
		t.Errorf("quote %+v", q)
	}
}

func TestQuoteSaysAllThatIsWrong(t *testing.T) {
	minus, many := int64(-1), int64(events.MaxAmount)
	for name, c := range map[string]struct {
		request order.Request
		want    []order.Problem
	}{
		"lines": {
			order.Request{Currency: "GBP", Country: "GB", ShippingMethod: "standard", Lines: []order.Wanted{
				{SKU: "NONE", Quantity: 1}, {SKU: "OLD", Quantity: 0}, {SKU: "ODD", Quantity: 1},
			}},
			[]order.Problem{
				{Code: order.UnknownSKU, Line: 1, Field: "sku"}, {Code: order.Discontinued, Line: 2, Field: "sku"},
				{Code: order.BadQuantity, Line: 2, Field: "quantity"}, {Code: order.UnknownTaxClass, Line: 3, Field: "sku"},
			},
		},
		"none":              {order.Request{Currency: "GBP", Country: "GB"}, []order.Problem{{Code: order.NoLines, Field: "lines"}}},
		"currency":          {with(func(r *order.Request) { r.Currency = "EUR" }), []order.Problem{{Code: order.UnknownCurrency, Field: "currency"}, {Code: order.NoPrice, Line: 1, Field: "sku"}, {Code: order.NotShippedThere, Field: "shipping_method"}}},
		"country":           {with(func(r *order.Request) { r.Country = "DE" }), []order.Problem{{Code: order.NotShippedThere, Field: "shipping_method"}}},
		"shipping":          {with(func(r *order.Request) { r.ShippingMethod = "carrier pigeon" }), []order.Problem{{Code: order.UnknownShipping, Field: "shipping_method"}}},
		"discount":          {with(func(r *order.Request) { r.Discounts = []events.Discount{{Amount: 1300}} }), []order.Problem{{Code: order.DiscountAboveGoods, Field: "discounts"}}},
		"negative discount": {with(func(r *order.Request) { r.Discounts = []events.Discount{{Amount: -1}} }), []order.Problem{{Code: order.BadAmount, Field: "discounts"}}},
		"negative price":    {with(func(r *order.Request) { r.Lines[0].AgreedPrice = &minus }), []order.Problem{{Code: order.BadAmount, Line: 1, Field: "agreed_price"}}},
		"negative shipping": {with(func(r *order.Request) { r.ShippingPrice = &minus }), []order.Problem{{Code: order.BadAmount, Field: "shipping_price"}}},
		"too much":          {with(func(r *order.Request) { r.Lines[0].AgreedPrice = &many; r.ShippingPrice = &many }), []order.Problem{{Code: order.BadAmount, Field: "lines"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := order.DefaultShop().Quote(c.request, catalogue)
			problems, ok := errors.AsType[order.Problems](err)
			if !ok {
				t.Fatalf("no problems: %v", err)
			}
			for i := range problems {
				if problems[i].Detail == "" {
					t.Errorf("problem %d has no words", i)
				}
				problems[i].Detail = ""
			}
			if !slices.Equal(problems, c.want) {
				t.Errorf("got  %+v\nwant %+v", problems, c.want)
			}
		})
	}
}

func with(change func(*order.Request)) order.Request {
	r := mugs(1)
	change(&r)
	return r
}

// Whatever is quoted can be placed: Place sums the parts again, on its own.
func TestQuotesCanBePlaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shop := order.DefaultShop()
		shop.PricesIncludeTax = rapid.Bool().Draw(t, "included")
		r := mugs(rapid.IntRange(1, 1000).Draw(t, "mugs"))
		goods := 1299 * int64(r.Lines[0].Quantity)
		for range rapid.IntRange(0, 5).Draw(t, "more") {
			price, n := rapid.Int64Range(0, 1<<32).Draw(t, "price"), rapid.IntRange(1, 1000).Draw(t, "quantity")
			r.Lines = append(r.Lines, order.Wanted{SKU: rapid.SampledFrom([]string{"MUG-BLUE", "BOOK"}).Draw(t, "sku"), Quantity: n, AgreedPrice: &price})
			goods += price * int64(n)
		}
		if d := rapid.Int64Range(0, goods).Draw(t, "discount"); d > 0 {
			r.Discounts = []events.Discount{{Amount: d}}
		}
		q, err := shop.Quote(r, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		placed := q.Snapshot("o1")
		placed.Number = "1"
		if facts, err := (order.Place{Order: placed}).Decide(order.Order{}); err != nil || len(facts) != 1 {
			t.Fatalf("%v: %+v", err, placed)
		}
		placed.Total++
		if _, err := (order.Place{Order: placed}).Decide(order.Order{}); es.Rejected(err) != order.Invalid {
			t.Fatal("an order whose parts do not sum to its total was placed")
		}
	})
}

func TestShopConfiguration(t *testing.T) {
	if err := order.DefaultShop().Validate(); err != nil {
		t.Error(err)
	}
	bad := order.Shop{
		Currencies: []string{"pounds"}, TimeZone: "Mars/Olympus", Tax: map[string]map[string]int64{"Britain": {"standard": 1}, "DE": {"full": 20000}},
		Shipping: []order.ShippingMethod{{Code: "a"}, {Code: "a", Prices: map[string]map[string]int64{"everywhere": {"GBP": -1}}}},
	}
	want := `shop.currencies: "pounds" is no currency of ISO 4217
shop.shipping[0].prices: none is given
shop.shipping[1].code: "a" is no code, or not the method's own
shop.shipping[1].prices.everywhere.GBP: "GBP" is none of the shop's currencies
shop.shipping[1].prices.everywhere.GBP: -1 is no price
shop.shipping[1].prices.everywhere: "everywhere" is no country of ISO 3166-1
shop.tax.Britain: "Britain" is no country of ISO 3166-1
shop.tax.DE.full: 20000 is not 0 to 10000 basis points
shop.tax.DE: there is no class "standard", which shipping is taxed at
shop.time_zone: "Mars/Olympus" is no time zone of IANA's`
	if err := bad.Validate(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
