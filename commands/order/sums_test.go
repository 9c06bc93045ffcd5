package order_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/iso"
)

// anyShop draws a shop of any configuration that is in order: tax within the prices or on top, by country and by region, currencies
// of any number of decimals.
func anyShop(t *rapid.T) order.Shop {
	rate := rapid.Int64Range(0, 10000)
	currencies := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"GBP", "EUR", "JPY", "KWD", "CLF"}), 1, 3, rapid.ID).Draw(t, "currencies")
	shop := order.Shop{
		Currencies: currencies, TimeZone: "UTC", PricesIncludeTax: rapid.Bool().Draw(t, "included"), Tax: map[string]map[string]int64{},
	}
	for _, place := range []string{"GB", "US", "US-NY", "CA-QC"} {
		if rapid.Bool().Draw(t, "taxes "+place) {
			shop.Tax[place] = map[string]int64{"standard": rate.Draw(t, "standard"), "reduced": rate.Draw(t, "reduced")}
		}
	}
	prices := map[string]int64{}
	for _, c := range currencies {
		prices[c] = rapid.Int64Range(0, 1_000_000).Draw(t, "shipping")
	}
	shop.Shipping = []order.ShippingMethod{{Code: "post", Prices: map[string]map[string]int64{"*": prices}}}
	return shop
}

// In every shop, what a quote and the order placed by it show as parts sums to what they show as total, and tax is that of the place.
func TestPartsSumToTheTotalInEveryShop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shop := anyShop(t)
		if err := shop.Validate(); err != nil {
			t.Fatal(err)
		}
		country := rapid.SampledFrom([]string{"GB", "US", "CA", "DE"}).Draw(t, "country")
		region := map[string]string{"GB": "ENG", "US": rapid.SampledFrom([]string{"NY", "US-NY", "ny", "CA"}).Draw(t, "region"), "CA": "QC", "DE": "BY"}[country]
		r := order.Request{Currency: rapid.SampledFrom(shop.Currencies).Draw(t, "currency"), Country: country, Region: &region, ShippingMethod: "post"}
		var goods int64
		price := rapid.Int64Range(0, 1<<30).Draw(t, "price")
		for range rapid.IntRange(1, 6).Draw(t, "lines") {
			n := rapid.IntRange(1, 1000).Draw(t, "quantity")
			r.Lines = append(r.Lines, order.Wanted{SKU: rapid.SampledFrom([]string{"standard", "reduced"}).Draw(t, "class"), Quantity: n})
			goods += price * int64(n)
		}
		if d := rapid.Int64Range(0, goods).Draw(t, "discount"); d > 0 {
			r.Discounts = []events.Discount{{Amount: d}}
		}
		q, err := shop.Quote(r, func(sku string) (order.Offer, bool) {
			return order.Offer{Name: sku, Prices: map[string]int64{r.Currency: price}, TaxClass: sku}, true
		})
		if err != nil {
			t.Fatal(err)
		}
		sums(t, q, shop)
		placed := q.Snapshot("o1")
		placed.Number = "1"
		if _, err := (order.Place{Order: placed}).Decide(order.Order{}); err != nil {
			t.Fatal(err)
		}
		code, _ := iso.Region(country, region)
		classes, taxed := shop.Tax[country+"-"+code]
		if !taxed {
			classes = shop.Tax[country]
		}
		for _, l := range q.Lines {
			if l.TaxRate != classes[l.TaxClass] {
				t.Fatalf("a line to %s %s has the rate %d of %v", country, region, l.TaxRate, shop.Tax)
			}
		}
		if q.Shipping.TaxRate != classes["standard"] {
			t.Fatalf("shipping to %s %s has the rate %d of %v", country, region, q.Shipping.TaxRate, shop.Tax)
		}
	})
}

func sums(t *rapid.T, q order.Quote, shop order.Shop) {
	var lines, tax, discount int64
	for _, l := range q.Lines {
		if l.Total != l.UnitPrice*int64(l.Quantity)-l.Discount+l.TaxAdded() || l.TaxAdded() != 0 && l.TaxAdded() != l.Tax {
			t.Fatalf("the parts of a line do not sum to its total: %+v", l)
		}
		lines, tax, discount = lines+l.Total, tax+l.Tax, discount+l.Discount
	}
	tax += q.Shipping.Tax
	switch {
	case q.Goods-q.Discount+q.Shipping.Price+q.TaxAdded != q.Total:
		t.Fatalf("the parts of a quote do not sum to its total: %+v", q)
	case lines+q.Shipping.Price+q.Shipping.TaxAdded != q.Total || tax != q.TaxIncluded+q.TaxAdded || discount != q.Discount:
		t.Fatalf("the lines of a quote do not sum to it: %+v", q)
	case shop.PricesIncludeTax && q.TaxAdded != 0, !shop.PricesIncludeTax && q.TaxIncluded != 0:
		t.Fatalf("tax is on the wrong side: %+v", q)
	}
}

// Where tax depends on the region, an order without one, or with one that is none, is refused by the field.
func TestRegionIsNeededForTheTax(t *testing.T) {
	shop := order.DefaultShop()
	shop.Tax["US"], shop.Tax["US-NY"] = map[string]int64{"standard": 0}, map[string]int64{"standard": 887}
	shop.Shipping[0].Prices["*"] = map[string]int64{"GBP": 1000}
	for _, region := range []*string{nil, new(""), new("New York"), new("QC"), new("US-ZZ")} {
		r := mugs(1)
		r.Country, r.Region = "US", region
		_, err := shop.Quote(r, catalogue)
		problems, ok := err.(order.Problems) //nolint:errorlint // it is
		if !ok || !slices.ContainsFunc(problems, func(p order.Problem) bool { return p.Code == order.UnknownRegion && p.Field == "ship_to/region" }) {
			t.Errorf("%v: %v", region, err)
		}
	}
	for region, want := range map[string]int64{"NY": 887, "us-ny": 887, "CA": 0} {
		r := mugs(1)
		r.Country, r.Region = "US", &region
		if q, err := shop.Quote(r, catalogue); err != nil || q.Lines[0].TaxRate != want || "US-"+q.TaxRegion != "US-"+map[string]string{"NY": "NY", "us-ny": "NY", "CA": "CA"}[region] {
			t.Errorf("%s: %v %v", region, q.Lines, err)
		}
	}
	r := mugs(1)
	r.Region = new("anywhere at all")
	if q, err := shop.Quote(r, catalogue); err != nil || q.TaxRegion != "" {
		t.Error(fmt.Sprint("a region matters where tax does not depend on it: ", q.TaxRegion, err))
	}
}
