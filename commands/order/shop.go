package order

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/events"
)

// Shop is how a shop reckons: what it sells in, ships by and taxes at.
type Shop struct {
	// Currencies that an order may be in (ISO 4217). The first is the usual one.
	Currencies []string `koanf:"currencies"`
	// TimeZone is the one reports count days in (IANA).
	TimeZone string `koanf:"time_zone"`
	// PricesIncludeTax says that prices are what the buyer pays; else tax comes on top.
	PricesIncludeTax bool `koanf:"prices_include_tax"`
	// Tax is basis points by country (ISO 3166, or country-region) and tax class. A country not named pays none.
	Tax map[string]map[string]int64 `koanf:"tax"`
	// Shipping is the methods a buyer can choose.
	Shipping []ShippingMethod `koanf:"shipping"`
}

// ShippingMethod is one way to send goods.
type ShippingMethod struct {
	Code string `json:"code" koanf:"code"`
	// Prices is minor units by country ("*": every country not named) and currency.
	Prices map[string]map[string]int64 `json:"prices" koanf:"prices"`
}

// StandardTax is the class that shipping is taxed at.
const StandardTax = "standard"

// DefaultShop sells in pounds to Great Britain, 20 % VAT included.
func DefaultShop() Shop {
	return Shop{
		Currencies: []string{"GBP"}, TimeZone: "Europe/London", PricesIncludeTax: true,
		Tax:      map[string]map[string]int64{"GB": {StandardTax: 2000, "reduced": 500, "zero": 0}},
		Shipping: []ShippingMethod{{Code: "standard", Prices: map[string]map[string]int64{"GB": {"GBP": 395}}}},
	}
}

// Validate says everything that is wrong with the configuration, by field.
func (s Shop) Validate() error {
	var w wrong
	if len(s.Currencies) == 0 {
		w.sayf("currencies: none")
	}
	for _, c := range s.Currencies {
		if !isCode(c, 3) {
			w.sayf("currencies: %q is no ISO 4217 code", c)
		}
	}
	if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "" {
		w.sayf("time_zone: %q is not known", s.TimeZone)
	}
	s.checkTax(&w)
	s.checkShipping(&w)
	if w != nil {
		slices.Sort(w)
		return fmt.Errorf("shop: %s", strings.Join(w, "; "))
	}
	return nil
}

type wrong []string

func (w *wrong) sayf(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

func (s Shop) checkTax(w *wrong) {
	for country, classes := range s.Tax {
		if code, _, _ := strings.Cut(country, "-"); !isCode(code, 2) {
			w.sayf("tax: %q is no country", country)
		}
		if _, ok := classes[StandardTax]; !ok {
			w.sayf("tax: %s has no class %q", country, StandardTax)
		}
		for class, rate := range classes {
			if rate < 0 || rate > 10000 {
				w.sayf("tax: %s %s is %d basis points", country, class, rate)
			}
		}
	}
}

func (s Shop) checkShipping(w *wrong) {
	for i, m := range s.Shipping {
		if m.Code == "" || slices.IndexFunc(s.Shipping, func(o ShippingMethod) bool { return o.Code == m.Code }) != i {
			w.sayf("shipping: method %d needs a code of its own", i+1)
		}
		for country, prices := range m.Prices {
			if country != "*" && !isCode(country, 2) {
				w.sayf("shipping: %s: %q is no country", m.Code, country)
			}
			for currency, price := range prices {
				if !slices.Contains(s.Currencies, currency) || price < 0 || price > events.MaxAmount {
					w.sayf("shipping: %s to %s: %d %s", m.Code, country, price, currency)
				}
			}
		}
	}
}

func isCode(s string, n int) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return len(s) == n
}

// taxRate is what a class of goods pays where they go: by region, else by country.
func (s Shop) taxRate(country, region, class string) (basisPoints int64, ok bool) {
	classes, taxed := s.Tax[country+"-"+region]
	if !taxed {
		classes, taxed = s.Tax[country]
	}
	if !taxed {
		return 0, true
	}
	basisPoints, ok = classes[class]
	return basisPoints, ok
}

func (s Shop) shippingPrice(method, country, currency string) (price int64, known, shipped bool) {
	i := slices.IndexFunc(s.Shipping, func(m ShippingMethod) bool { return m.Code == method })
	if i < 0 {
		return 0, false, false
	}
	prices, ok := s.Shipping[i].Prices[country]
	if !ok {
		prices = s.Shipping[i].Prices["*"]
	}
	price, shipped = prices[currency]
	return price, true, shipped
}
