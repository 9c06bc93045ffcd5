package order

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/iso"
	"github.com/daybook-dev/daybook/kit/text"
)

// Shop is how a shop reckons: what it sells in, ships by and taxes at.
type Shop struct {
	// Currencies that an order may be in (ISO 4217). The first is the usual one.
	Currencies []string `koanf:"currencies"`
	// TimeZone is the one reports count days in (IANA).
	TimeZone string `koanf:"time_zone"`
	// PricesIncludeTax says that prices are what the buyer pays; else tax comes on top.
	PricesIncludeTax bool `koanf:"prices_include_tax"`
	// Tax is basis points by country (ISO 3166-1) or region (US-NY, ISO 3166-2) and tax class. A place not named pays none.
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

// Validate says everything that is wrong with the configuration, by key.
func (s Shop) Validate() error {
	var w wrong
	if len(s.Currencies) == 0 {
		w.sayf("currencies", "none is given")
	}
	for i, c := range s.Currencies {
		if _, ok := iso.Currency(c); !ok {
			w.sayf("currencies", "%q is no currency of ISO 4217", c)
		}
		if slices.Index(s.Currencies, c) < i {
			w.sayf("currencies", "%q is given twice", c)
		}
	}
	if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "" || s.TimeZone == "Local" {
		w.sayf("time_zone", "%q is no time zone of IANA's", s.TimeZone)
	}
	s.checkTax(&w)
	s.checkShipping(&w)
	slices.SortFunc(w, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(w...)
}

type wrong []error

func (w *wrong) sayf(key, format string, args ...any) {
	*w = append(*w, fmt.Errorf("shop.%s: %s", key, fmt.Sprintf(format, args...)))
}

func (s Shop) checkTax(w *wrong) {
	for place, classes := range s.Tax {
		key := "tax." + place
		country, region, regional := strings.Cut(place, "-")
		code, known := iso.Region(country, region)
		switch {
		case !iso.Country(country):
			w.sayf(key, "%q is no country of ISO 3166-1", country)
		case regional && (!known || code != region):
			w.sayf(key, "%q is no region of %s in ISO 3166-2", region, country)
		}
		if _, ok := classes[StandardTax]; !ok {
			w.sayf(key, "there is no class %q, which shipping is taxed at", StandardTax)
		}
		for class, rate := range classes {
			if !text.Ref(class) {
				w.sayf(key, "%q is no name of a class", class)
			}
			if rate < 0 || rate > 10000 {
				w.sayf(key+"."+class, "%d is not 0 to 10000 basis points", rate)
			}
		}
	}
}

func (s Shop) checkShipping(w *wrong) {
	for i, m := range s.Shipping {
		key := fmt.Sprintf("shipping[%d]", i)
		if !text.Ref(m.Code) || slices.IndexFunc(s.Shipping, func(o ShippingMethod) bool { return o.Code == m.Code }) != i {
			w.sayf(key+".code", "%q is no code, or not the method's own", m.Code)
		}
		if len(m.Prices) == 0 {
			w.sayf(key+".prices", "none is given")
		}
		for country, prices := range m.Prices {
			key := key + ".prices." + country
			if country != "*" && !iso.Country(country) {
				w.sayf(key, "%q is no country of ISO 3166-1", country)
			}
			for currency, price := range prices {
				if !slices.Contains(s.Currencies, currency) {
					w.sayf(key+"."+currency, "%q is none of the shop's currencies", currency)
				}
				if price < 0 || price > events.MaxAmount {
					w.sayf(key+"."+currency, "%d is no price", price)
				}
			}
		}
	}
}

// HasTaxClass tells whether a class of goods is one that the configuration knows.
func (s Shop) HasTaxClass(class string) bool {
	if class == StandardTax {
		return true
	}
	for _, classes := range s.Tax {
		if _, ok := classes[class]; ok {
			return true
		}
	}
	return false
}

// taxesByRegion tells whether tax in a country depends on the region.
func (s Shop) taxesByRegion(country string) bool {
	for place := range s.Tax {
		if strings.HasPrefix(place, country+"-") {
			return true
		}
	}
	return false
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
