package shop_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// keys seal by a mark, and know what was erased.
type keys struct{ erased map[string]bool }

func (k *keys) Seal(_ context.Context, subject string, _ es.StreamID, _, _, plain string) (es.Sealed, error) {
	return es.Sealed{KeyID: subject, Ciphertext: []byte(plain)}, nil
}

func (k *keys) Unseal(_ context.Context, s es.Sealed) (string, error) {
	if k.erased[s.KeyID] {
		return "", es.ErrErased
	}
	return string(s.Ciphertext), nil
}

// nothing is read models that hold nothing yet.
type nothing struct{}

func (nothing) View(...projection.Projection) (query.View, error) { return nothing{}, nil }
func (nothing) Partition(string) int                              { return 0 }
func (nothing) Watch(func(int) bool) (<-chan struct{}, func())    { return nil, func() {} }
func (nothing) Read(context.Context, query.Ask, func(context.Context, query.Snapshot) error) (query.Answer, error) {
	return query.Answer{}, query.ErrNotYet
}

func open(t *testing.T) (*shop.Commands, *keys) {
	t.Helper()
	catalog, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	store, k := memory.New(), &keys{map[string]bool{}}
	queries, err := shop.NewQueries(shop.QueryConfig{Rows: nothing{}, Keys: k})
	if err != nil {
		t.Fatal(err)
	}
	terms := order.Shop{
		Currencies: []string{"GBP"}, TimeZone: "Europe/London", PricesIncludeTax: true, Tax: map[string]map[string]int64{"GB": {"standard": 2000}},
		Shipping: []order.ShippingMethod{{Code: "post", Prices: map[string]map[string]int64{"GB": {"GBP": 500}}}},
	}
	return shop.NewCommands(shop.CommandConfig{Handler: es.NewHandler(store, catalog, time.Now), Log: store, Keys: k, Shop: terms, Queries: queries}), k
}

func asks(operation, key string) shop.Request {
	return shop.Request{Actor: es.Actor{Kind: "user", ID: "bo"}, Operation: operation, IdempotencyKey: key, Digest: []byte(operation), Installation: []byte("key")}
}

func mugs(expected int64) shop.NewOrder {
	return shop.NewOrder{
		Currency: "GBP", ShippingMethod: "post", Buyer: shop.NewCustomer{Email: new("bo@example.com")}, PaymentToken: "tok", ExpectedTotal: &expected,
		ShipTo: shop.Address{Line1: "2 High Street", City: "London", Country: "GB"}, Lines: []shop.NewLine{{SKU: "MUG", Quantity: 2}},
	}
}

// An order is placed, repeated, shown and cancelled with no transport in sight.
func TestOrdering(t *testing.T) {
	commands, k := open(t)
	if _, err := commands.AddProduct(t.Context(), asks("addProduct", "p"), product.Add{SKU: "MUG", Name: "Mug", Prices: map[string]int64{"GBP": 1250}}); err != nil {
		t.Fatal(err)
	}
	placed, err := commands.PlaceOrder(t.Context(), asks("placeOrder", "o"), mugs(3000))
	if err != nil {
		t.Fatal(err)
	}
	o := placed.Shown
	if o.Key == "" || o.Number == "" || o.Total != 3000 || o.Contact.Email.Text != "bo@example.com" || o.Delivery.City.Text != "London" || placed.Replayed {
		t.Errorf("placed %+v", placed)
	}
	if string(o.Customer.Email.Ciphertext) != "bo@example.com" || o.Customer.Email.KeyID != "guest-"+o.Key {
		t.Errorf("sealed as %+v", o.Customer.Email)
	}
	again, err := commands.PlaceOrder(t.Context(), asks("placeOrder", "o"), mugs(3000))
	if err != nil || !again.Replayed || again.Shown.Key != o.Key || again.Shown.Number != o.Number || again.Position != placed.Position {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	other := asks("placeOrder", "o")
	other.Digest = []byte("another order")
	if _, err := commands.PlaceOrder(t.Context(), other, mugs(3000)); shop.RefusalOf(err).Code != "idempotency_key_reused" {
		t.Errorf("another order with the same key: %v", err)
	}
	k.erased["guest-"+o.Key] = true
	cancelled, err := commands.CancelOrder(t.Context(), asks("cancelOrder", "c"), o.Key, new("changed my mind"))
	if err != nil || cancelled.Revision <= placed.Revision || !cancelled.Shown.Contact.Email.Withheld || cancelled.Shown.Withheld != shop.Erased {
		t.Errorf("cancelled: %+v, %v", cancelled, err)
	}
	waits := asks("placeOrder", "w")
	waits.Wait = time.Nanosecond
	if waited, err := commands.PlaceOrder(t.Context(), waits, mugs(3000)); err != nil || waited.Shown.Total != 3000 {
		t.Errorf("waited for in vain: %+v, %v", waited, err)
	}
}

// A refusal says what is wrong, where, and what the order comes to now.
func TestRefusals(t *testing.T) {
	commands, _ := open(t)
	if _, err := commands.AddProduct(t.Context(), asks("addProduct", "p"), product.Add{SKU: "MUG", Name: "Mug", Prices: map[string]int64{"GBP": 1250}}); err != nil {
		t.Fatal(err)
	}
	unknown, stranger := mugs(3000), mugs(3000)
	unknown.Lines = append(unknown.Lines, shop.NewLine{SKU: "VASE", Quantity: 1})
	stranger.Buyer = shop.NewCustomer{ID: "c1"}
	for _, tt := range []struct {
		order shop.NewOrder
		code  es.Code
		field string
	}{{mugs(1), "price_changed", "/expected_total"}, {unknown, "unknown_sku", "/lines/1/sku"}, {stranger, "unknown_customer", "/customer/id"}} {
		_, err := commands.PlaceOrder(t.Context(), asks("placeOrder", string(tt.code)), tt.order)
		r := shop.RefusalOf(err)
		if r.Code != tt.code || !slices.ContainsFunc(r.Faults, func(f shop.Fault) bool { return f.Field == tt.field }) {
			t.Errorf("%s: %+v", tt.code, r)
		}
		if tt.code == "price_changed" && (r.Quote == nil || r.Quote.Total != 3000) {
			t.Errorf("the quote is %+v", r.Quote)
		}
	}
	_, err := commands.AddProduct(t.Context(), asks("addProduct", "t"), product.Add{SKU: "RING", Name: "Ring", TaxClass: new("luxury")})
	if r := shop.RefusalOf(err); r.Code != order.UnknownTaxClass || r.Faults[0].Field != "/tax_class" {
		t.Errorf("%+v", r)
	}
	if r := shop.RefusalOf(errors.New("a disk broke")); r.Code != "internal" || r.Detail != "the request could not be carried out" {
		t.Errorf("an internal error is shown: %+v", r)
	}
}
