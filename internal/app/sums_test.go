package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/apitest"
	"github.com/daybook-dev/daybook/api/command"
	"github.com/daybook-dev/daybook/api/query"
	ordering "github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/es"
	inmemory "github.com/daybook-dev/daybook/kit/es/memory"
)

// unsealed keeps personal data as it is.
type unsealed struct{}

func (unsealed) Seal(_ context.Context, subject string, stream es.StreamID, typ, field, text string) (es.Sealed, error) {
	return es.Sealed{Subject: subject, KeyID: "k", Stream: stream.String(), Type: typ, Field: field, Ciphertext: []byte(text)}, nil
}

func (unsealed) Unseal(_ context.Context, s es.Sealed) (string, error) {
	return string(s.Ciphertext), nil
}

// amounts are the fields of money that orders, quotes, their lines and rows of reports have.
type amounts struct {
	Goods, Discount, Shipping, Total, Quantity, Tax int64
	UnitPrice                                       int64 `json:"unit_price"`
	ShippingTax                                     int64 `json:"shipping_tax"`
	TaxIncluded                                     int64 `json:"tax_included"`
	TaxAdded                                        int64 `json:"tax_added"`
	Currency                                        string
	Lines                                           []amounts
}

// sum fails the test unless the parts of an order or a quote sum to its total, by the words of openapi.yaml.
func (a amounts) sum(t *testing.T, what string, onTop bool) {
	t.Helper()
	a.row(t, what)
	lines, goods, tax := a.Shipping, int64(0), a.ShippingTax
	if onTop {
		lines += a.ShippingTax
	}
	for _, l := range a.Lines {
		if l.Total != l.Quantity*l.UnitPrice-l.Discount+l.TaxAdded || onTop && l.TaxAdded != l.Tax || !onTop && l.TaxAdded != 0 {
			t.Errorf("%s: the parts of a line do not sum to its total: %+v", what, l)
		}
		lines, goods, tax = lines+l.Total, goods+l.Quantity*l.UnitPrice, tax+l.Tax
	}
	if len(a.Lines) == 0 || lines != a.Total || goods != a.Goods || tax != a.TaxIncluded+a.TaxAdded || onTop && a.TaxIncluded != 0 || !onTop && a.TaxAdded != 0 {
		t.Errorf("%s: its lines do not sum to it: %+v", what, a)
	}
}

// row is sum for what has no lines.
func (a amounts) row(t *testing.T, what string) {
	t.Helper()
	if a.Total == 0 || a.Total != a.Goods-a.Discount+a.Shipping+a.TaxAdded {
		t.Errorf("%s: its parts do not sum to its total: %+v", what, a)
	}
}

// asking sends requests to an API and holds the answers to the document.
type asking struct {
	*testing.T

	order apitest.Order
	asked int
}

func (a *asking) ask(e *echo.Echo, method, path, body, schema string, status int) []byte {
	a.Helper()
	r := httptest.NewRequestWithContext(a.Context(), method, path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		a.asked++
		r.Header.Set("Idempotency-Key", fmt.Sprint("k-", a.asked))
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code != status {
		a.Fatalf("%s %s: %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	if err := a.order.Check(schema, w.Body.Bytes()); err != nil {
		a.Errorf("%s %s: %v in %s", method, path, err, w.Body)
	}
	return w.Body.Bytes()
}

func decoded[T any](t *testing.T, b []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return v
}

// In shops with tax on top, within the prices, by region, on shipping, and of any number of decimals, what the API shows of an order, of a
// quote and in reports as parts sums to what it shows as total.
func TestShownPartsSumToTheShownTotal(t *testing.T) {
	t.Parallel()
	order, err := apitest.FieldOrder()
	if err != nil {
		t.Fatal(err)
	}
	a := &asking{T: t, order: order}
	catalog, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	store := inmemory.New()
	handler := es.NewHandler(store, catalog, time.Now)
	serve := func(rows shop.Rows, yaml string) *echo.Echo {
		cfg, _, err := LoadConfig(Sources{File: written(t, yaml)})
		if err != nil {
			t.Fatal(err)
		}
		reading, err := shop.NewQueries(shop.QueryConfig{Rows: rows, Keys: unsealed{}, TimeZone: cfg.Shop.TimeZone})
		if err != nil {
			t.Fatal(err)
		}
		gate, err := api.NewGate([]byte("a key"))
		if err != nil {
			t.Fatal(err)
		}
		e := api.NewEcho(slog.New(slog.DiscardHandler))
		changing := shop.NewCommands(shop.CommandConfig{Handler: handler, Log: store, Keys: unsealed{}, Shop: cfg.Shop, Queries: reading})
		ops := operations{command.New(changing), query.New(reading, slog.New(slog.DiscardHandler))}
		if err := api.Routes(e, gate, ops, ops.sides()...); err != nil {
			t.Fatal(err)
		}
		return e
	}
	shops := []struct {
		id, yaml, currency, country, region, lines string
		onTop                                      bool
		total, tax, shippingTax                    int64
	}{
		{"included", `shop: {currencies: [GBP], prices_include_tax: true, tax: {GB: {standard: 2000}}, shipping: [{code: post, prices: {GB: {GBP: 600}}}]}`,
			"GBP", "GB", "", `{"sku":"MUG","quantity":3}`, false, 4203, 701, 100}, // 3603 / 6 = 600.5
		{"regional", strings.TrimPrefix(shopYAML, "\n"), "USD", "US", "NY", `{"sku":"MUG","quantity":1},{"sku":"RING","quantity":1}`, true, 2733, 233, 44},
		{"no-decimals", strings.TrimPrefix(shopYAML, "\n"), "JPY", "JP", "", `{"sku":"MUG","quantity":3}`, true, 4947, 450, 150},
		{"three-decimals", `shop: {currencies: [KWD], prices_include_tax: false, tax: {KW: {standard: 500}}, shipping: [{code: post, prices: {"*": {KWD: 0}}}]}`,
			"KWD", "KW", "", `{"sku":"MUG","quantity":1},{"sku":"RING","quantity":2}`, true, 3166, 151, 0}, // 100.5
		{"untaxed", `shop: {currencies: [EUR], prices_include_tax: true, tax: {DE: {standard: 0}}, shipping: [{code: post, prices: {DE: {EUR: 490}}}]}`,
			"EUR", "DE", "", `{"sku":"MUG","quantity":2}`, false, 2890, 0, 0},
	}
	nothing := viewtest.Reader(t, nil, events.Catalog(), Projections()...)
	e := serve(nothing, shopYAML)
	for sku, class := range map[string]string{"MUG": "standard", "RING": "luxury"} {
		a.ask(e, http.MethodPost, "/v1/products", fmt.Sprintf(
			`{"sku":%q,"name":"Thing","tax_class":%q,"prices":{"GBP":1201,"USD":1000,"JPY":999,"KWD":1005,"EUR":1200}}`, sku, class), "Product", http.StatusCreated)
	}
	for _, s := range shops {
		e := serve(nothing, strings.ReplaceAll(s.yaml, "standard: 500", "standard: 500, luxury: 500"))
		at := fmt.Sprintf(`"country":%q`, s.country)
		if s.region != "" {
			at += fmt.Sprintf(`,"region":%q`, s.region)
		}
		body := func(expected int64) string {
			return fmt.Sprintf(`{"id":%q,"currency":%q,"customer":{"email":"bo@example.com"},"ship_to":{"line1":"2 High Street","city":"X","postal_code":"1",%s},
				"shipping_method":"post","lines":[%s],"payment":{"token":"tok_approve"},"expected_total":%d}`, s.id, s.currency, at, s.lines, expected)
		}
		problem := decoded[struct {
			Code  string
			Quote amounts
		}](t, a.ask(e, http.MethodPost, "/v1/orders", body(1), "Problem", http.StatusConflict))
		placed := decoded[amounts](t, a.ask(e, http.MethodPost, "/v1/orders", body(s.total), "Order", http.StatusCreated))
		for what, shown := range map[string]amounts{"quote": problem.Quote, "order": placed} {
			shown.sum(t, s.id+": "+what, s.onTop)
			if shown.Total != s.total || shown.TaxIncluded+shown.TaxAdded != s.tax || shown.ShippingTax != s.shippingTax {
				t.Errorf("%s: %s: %+v, want total %d with tax %d, on shipping %d", s.id, what, shown, s.total, s.tax, s.shippingTax)
			}
		}
	}

	for _, s := range shops { // reports count what is confirmed
		if _, err := es.Handle(t.Context(), handler, ordering.Confirm{OrderID: s.id}, es.Call{}); err != nil {
			t.Fatal(err)
		}
	}
	shown := serve(viewtest.Reader(t, store.All(0), events.Catalog(), Projections()...), shopYAML)
	for _, s := range shops {
		o := decoded[amounts](t, a.ask(shown, http.MethodGet, "/v1/orders/"+s.id, "", "Order", http.StatusOK))
		if o.sum(t, s.id+": shown order", s.onTop); o.Total != s.total || o.ShippingTax != s.shippingTax {
			t.Errorf("%s: shown as %+v", s.id, o)
		}
	}
	for _, by := range []string{"day", "month", "country", "product"} {
		totals := map[string]int64{}
		for _, row := range decoded[struct{ Items []amounts }](t, a.ask(shown, http.MethodGet, "/v1/reports/sales?by="+by, "", "SalesReport", http.StatusOK)).Items {
			row.row(t, by+" "+row.Currency)
			totals[row.Currency] += row.Total
		}
		for _, s := range shops {
			want := s.total
			if by == "product" { // which has no shipping
				o := decoded[amounts](t, a.ask(shown, http.MethodGet, "/v1/orders/"+s.id, "", "Order", http.StatusOK))
				if want -= o.Shipping; s.onTop {
					want -= o.ShippingTax
				}
			}
			if totals[s.currency] != want {
				t.Errorf("report by %s: %s comes to %d, want %d", by, s.currency, totals[s.currency], want)
			}
		}
	}
}
