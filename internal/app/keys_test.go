package app

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/commands/order"
)

// A shop's configuration whose every key is needed for the quotes below.
const shopYAML = `
shop:
  currencies: [USD, JPY]
  time_zone: America/New_York
  prices_include_tax: false
  tax: {US: {standard: 0, luxury: 1000}, US-NY: {standard: 887, luxury: 1000}, JP: {standard: 1000}}
  shipping: [{code: post, prices: {US: {USD: 500}, "*": {JPY: 1500}}}]
`

// quoted is what a shop says to two orders: totals and taxes, or what is wrong.
func quoted(shop order.Shop) string {
	var b strings.Builder
	for _, r := range []order.Request{
		{Currency: "USD", Country: "US", Region: new("NY"), ShippingMethod: "post", Lines: []order.Wanted{{SKU: "MUG", Quantity: 1}, {SKU: "RING", Quantity: 1}}},
		{Currency: "JPY", Country: "JP", ShippingMethod: "post", Lines: []order.Wanted{{SKU: "MUG", Quantity: 3}}},
	} {
		q, err := shop.Quote(r, func(sku string) (order.Offer, bool) {
			class := map[string]string{"MUG": "standard", "RING": "luxury"}[sku]
			return order.Offer{Name: sku, Prices: map[string]int64{"USD": 1000, "JPY": 999}, TaxClass: class}, true
		})
		fmt.Fprintln(&b, q.Goods, q.Shipping.Price, q.TaxIncluded, q.TaxAdded, q.Total, err)
	}
	return b.String()
}

// Every key of the shop's configuration, changed alone, changes what a quote or a report says. A new key without a case here fails.
func TestEveryKeyOfTheShopMatters(t *testing.T) {
	load := func(yaml string) order.Shop {
		t.Helper()
		cfg, _, err := LoadConfig(Sources{File: written(t, yaml)})
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Shop
	}
	shop := load(shopYAML)
	before := quoted(shop)
	if want := "2000 500 0 233 2733 <nil>\n2997 1500 0 450 4947 <nil>\n"; before != want {
		t.Fatalf("quoted %s, want %s", before, want)
	}
	changed := map[string][][2]string{
		"currencies":         {{"[USD, JPY]", "[USD, JPY, EUR]"}},
		"time_zone":          {{"America/New_York", "Asia/Tokyo"}},
		"prices_include_tax": {{"include_tax: false", "include_tax: true"}},
		"tax":                {{"US-NY: {standard: 887", "US-NY: {standard: 1888"}, {"JP: {standard: 1000", "JP: {standard: 1100"}, {"887, luxury: 1000", "887, luxury: 1100"}},
		"shipping.code":      {{"code: post", "code: mail"}},
		"shipping.prices":    {{"USD: 500", "USD: 501"}, {"JPY: 1500", "JPY: 1501"}},
	}
	if keys := keysOf(reflect.TypeFor[order.Shop](), ""); !slices.Equal(keys, slices.Sorted(maps.Keys(changed))) {
		t.Errorf("the shop has the keys %v", keys)
	}
	for key, changes := range changed {
		for _, c := range changes {
			if !strings.Contains(shopYAML, c[0]) {
				t.Fatalf("%s: there is no %q", key, c[0])
			}
			other := load(strings.Replace(shopYAML, c[0], c[1], 1))
			switch key {
			case "time_zone": // of reports: their queries are tested in several zones
				if other.TimeZone == shop.TimeZone {
					t.Errorf("%s is not read", key)
				}
			case "currencies":
				r := order.Request{Currency: "EUR", Country: "DE", ShippingMethod: "post"}
				_, one := shop.Quote(r, nil)
				_, two := other.Quote(r, nil)
				if fmt.Sprint(one) == fmt.Sprint(two) {
					t.Errorf("%s makes no difference: %v", key, one)
				}
			default:
				if after := quoted(other); after == before {
					t.Errorf("%s: %s makes no difference", key, c[1])
				}
			}
		}
	}
}

// keysOf lists the leaves of a configuration's struct.
func keysOf(t reflect.Type, at string) (keys []string) {
	for f := range t.Fields() {
		key := at + f.Tag.Get("koanf")
		switch {
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, keysOf(f.Type, key+".")...)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			keys = append(keys, keysOf(f.Type.Elem(), key+".")...)
		default:
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Every other setting comes from each source into a field of its own, and something besides the configuration itself reads the field.
func TestEverySettingMatters(t *testing.T) {
	fields := map[string]string{} // of Config, by setting
	var c Config
	for _, s := range c.settings() {
		at, v := reflect.ValueOf(s.Field), reflect.ValueOf(&c).Elem()
		for _, f := range reflect.VisibleFields(v.Type()) {
			if field := v.FieldByIndex(f.Index).Addr(); field.Pointer() == at.Pointer() && field.Type() == at.Type() {
				fields[s.Name] = f.Name
			}
		}
	}
	all := slices.Sorted(maps.Values(fields))
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if _, ok := slices.BinarySearch(all, f.Name); !ok && !slices.Contains([]string{"Shop", "Config", "Name", "Version", "Next", "Topic"}, f.Name) {
			t.Errorf("no setting is Config.%s", f.Name)
		}
	}
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("two settings share a field: %v", fields)
	}
	read := selectors(t)
	for name, field := range fields {
		if !read[field] {
			t.Errorf("nothing reads Config.%s: %s makes no difference", field, name)
		}
	}
}

// selectors are the names after a dot in this package, the runtime and the program, but for where the configuration is put together and checked.
func selectors(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range []string{".", "../../kit/runtime", "../../cmd/daybook"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || dir != "../../cmd/daybook" && (name == "config.go" || name == "settings.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+e.Name(), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					names[s.Sel.Name] = true
				}
				return true
			})
		}
	}
	for _, method := range []struct{ name, reads string }{{"SecretsDir", "Secrets"}, {"Has", "Roles"}} { // which are in config.go
		names[method.reads] = names[method.reads] || names[method.name]
	}
	return names
}

// What cannot be meant is refused by its key.
func TestMistakesOfTheShopAreNamed(t *testing.T) {
	for _, c := range [][2]string{
		{"{currencies: [XXX]}", "shop.currencies"}, {"{currencies: [gbp]}", "shop.currencies"}, {"{currencies: []}", "shop.currencies"},
		{"{currencies: [GBP, GBP]}", "shop.currencies"}, {"{currencies: GBP}", "currencies"}, {"{currencies: [GBP], currencies: [EUR]}", "currencies"},
		{"{Currencies: [EUR]}", "Currencies"}, {"{currency: EUR}", "currency"},
		{"{time_zone: Local}", "shop.time_zone"}, {"{time_zone: ''}", "shop.time_zone"}, {"{time_zone: GMT+27}", "shop.time_zone"}, {"{time_zone: 1}", "time_zone"},
		{"{prices_include_tax: perhaps}", "prices_include_tax"}, {"{prices_include_tax: 1}", "prices_include_tax"},
		{"{tax: {UK: {standard: 2000}}}", "shop.tax.UK"}, {"{tax: {XX: {standard: 2000}}}", "shop.tax.XX"}, {"{tax: {gb: {standard: 2000}}}", "shop.tax.gb"},
		{"{tax: {US-XX: {standard: 1}}}", "shop.tax.US-XX"}, {"{tax: {US-: {standard: 1}}}", "shop.tax.US-"}, {"{tax: {us-NY: {standard: 1}}}", "shop.tax.us-NY"},
		{"{tax: {XX-NY: {standard: 1}}}", "shop.tax.XX-NY"}, {"{tax: {US-CA-LA: {standard: 1}}}", "shop.tax.US-CA-LA"},
		{"{tax: {GB: {standard: -1}}}", "shop.tax.GB.standard"}, {"{tax: {GB: {standard: 10001}}}", "shop.tax.GB.standard"}, {"{tax: {GB: {reduced: 500}}}", "shop.tax.GB"},
		{"{tax: {GB: {standard: 19.5}}}", "tax[GB][standard]"}, {"{tax: {GB: {standard: '20'}}}", "tax[GB][standard]"}, {"{tax: {GB: {standard: 2000, standard: 500}}}", "standard"},
		{"{tax: {GB: {standard: 2000}, GB: {standard: 500}}}", "GB"}, {"{tax: {GB: {standard: 0, ' x': 1}}}", "shop.tax.GB"},
		{"{shipping: [{code: '', prices: {GB: {GBP: 1}}}]}", "shop.shipping[0].code"}, {"{shipping: [{code: a b, prices: {GB: {GBP: 1}}}]}", "shop.shipping[0].code"},
		{"{shipping: [{code: a, prices: {GB: {GBP: 1}}}, {code: a, prices: {GB: {GBP: 1}}}]}", "shop.shipping[1].code"}, {"{shipping: [{code: a}]}", "shop.shipping[0].prices"},
		{"{shipping: [{code: a, prices: {UK: {GBP: 1}}}]}", "shop.shipping[0].prices.UK"}, {"{shipping: [{code: a, prices: {GB: {EUR: 1}}}]}", "shop.shipping[0].prices.GB.EUR"},
		{"{shipping: [{code: a, prices: {GB: {GBP: -1}}}]}", "shop.shipping[0].prices.GB.GBP"}, {"{shipping: [{code: a, price: {GB: {GBP: 1}}}]}", "price"},
		{"{shipping: [{code: a, prices: {GB: {GBP: 9007199254740992}}}]}", "shop.shipping[0].prices.GB.GBP"}, {"{shipping: {code: a}}", "shipping"},
		{"5", "shop"}, {"", "shop"},
	} {
		if _, _, err := LoadConfig(Sources{File: written(t, "shop: "+c[0]+"\n")}); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v, want %s", c[0], err, c[1])
		}
	}
	for _, c := range [][2]string{
		{"listen:", "listen"}, {"secrets: [a, b]", "secrets"}, {"data-dir: {a: b}", "data-dir"}, {"listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", "listen"}, {"reserve-within: 0s", "reserve-within"},
		{"not-found-after: 0s", "not-found-after"}, {"action-within: -1s", "action-within"}, {"provider-timeout: 10", "provider-timeout"},
	} {
		if _, _, err := LoadConfig(Sources{File: written(t, c[0]+"\n")}); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v, want %s", c[0], err, c[1])
		}
	}
}
