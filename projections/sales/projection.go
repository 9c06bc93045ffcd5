// Package sales answers: how much was sold, when, and to which country? One row per order, and dated rows beside it for
// what was cancelled, came back or was paid back later: so every sum is exact at any past moment.
package sales

import (
	_ "embed"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Kinds of rows. The sale has the order's id as its key, the others have a suffix each.
const (
	Sale         = "sale"
	Cancellation = "cancellation" // units; its amount is the sale's
	Return       = "return"       // units
	Refund       = "refund"       // amount
)

// Row is one movement. Country and currency are the sale's; amounts are minor units.
type Row struct {
	Kind     string    `db:"kind"`
	Counted  bool      `db:"counted"` // a sale counts once confirmed
	At       time.Time `db:"at"`      // business time; of a sale, its placing's
	Currency string    `db:"currency"`
	Country  string    `db:"country"`
	Units    int64     `db:"units"`
	Goods    int64     `db:"goods"`
	Discount int64     `db:"discount"`
	Shipping int64     `db:"shipping"`
	// TaxIncluded is within the prices, TaxAdded on top: Total = Goods − Discount + Shipping + TaxAdded.
	TaxIncluded int64 `db:"tax_included"`
	TaxAdded    int64 `db:"tax_added"`
	Total       int64 `db:"total"`
	Amount      int64 `db:"amount"`
}

//go:embed schema.sql
var schema string

// Projection keeps a few rows per order. Bump Version to rebuild.
var Projection = projection.Table[Row]{
	Name: "sales", Version: 2, Stream: "order", History: true, Schema: schema,
	On: []projection.Fold[Row]{
		projection.On(func(r *Row, e events.OrderPlaced, at es.Recorded) {
			*r = Row{
				Kind: Sale, At: at.OccurredAt(), Currency: e.Currency, Country: e.ShipTo.Country,
				Goods: e.Goods, Discount: e.Discount, Shipping: e.Shipping.Price, TaxIncluded: e.TaxIncluded, TaxAdded: e.TaxAdded, Total: e.Total,
			}
			for _, l := range e.Lines {
				r.Units += int64(l.Quantity)
			}
		}),
		projection.On(func(r *Row, _ events.OrderConfirmed, _ es.Recorded) { r.Counted = true }),
		projection.OnKey(
			func(e events.OrderCancelled, _ es.Recorded) string { return "cancellation/" + strconv.Itoa(e.N) },
			func(r *Row, e events.OrderCancelled, at es.Recorded) {
				*r = Row{Kind: Cancellation, At: at.OccurredAt()}
				for _, l := range e.Lines {
					r.Units += int64(l.Quantity)
				}
			}),
		projection.OnKey(
			func(e events.OrderLinesReturned, _ es.Recorded) string { return "return/" + e.ReturnID },
			func(r *Row, e events.OrderLinesReturned, at es.Recorded) {
				*r = Row{Kind: Return, At: at.OccurredAt()}
				for _, l := range e.Lines {
					r.Units += int64(l.Quantity)
				}
			}),
		projection.OnKey(
			func(e events.PaymentRefundRecorded, _ es.Recorded) string { return "refund/" + e.RecordID },
			func(r *Row, e events.PaymentRefundRecorded, at es.Recorded) {
				*r = Row{Kind: Refund, At: at.OccurredAt(), Amount: e.Amount.Amount}
			}),
	},
}
