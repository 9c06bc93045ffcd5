// Package salesbyproduct answers: how much was sold of each product? One row per order line, and dated rows beside them
// for what was cancelled or came back later.
package salesbyproduct

import (
	_ "embed"
	"strconv"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Kinds of rows. The order's has its id as the key, the others have a suffix each.
const (
	Order        = "order" // when it was placed, and whether it counts
	Line         = "line"
	Cancellation = "cancellation"
	Return       = "return"
)

// Row is one movement of a line. Amounts are minor units of the order's currency.
type Row struct {
	Kind     string    `db:"kind"`
	Counted  bool      `db:"counted"` // an order counts once confirmed
	At       time.Time `db:"at"`      // business time; of an order, its placing's
	Currency string    `db:"currency"`
	Line     int       `db:"line"`
	SKU      string    `db:"sku"`
	Units    int64     `db:"units"`
	Price    int64     `db:"price"`  // of one unit
	Amount   int64     `db:"amount"` // goods, or given back
	Discount int64     `db:"discount"`
	Tax      int64     `db:"tax"`
	Total    int64     `db:"total"` // goods − discount, and the tax if it is on top of them
}

//go:embed schema.sql
var schema string

// Projection keeps a few rows per order line. Bump Version to rebuild.
var Projection = projection.Table[Row]{
	Name: "sales_by_product", Version: 2, Stream: "order", History: true, Schema: schema,
	On: []projection.Fold[Row]{
		projection.OnKeys(
			func(e events.OrderPlaced, _ es.Recorded) []string {
				rows := make([]string, 1, 1+len(e.Lines)) // the order's own is ""
				for _, l := range e.Lines {
					rows = append(rows, row(Line, "", l.Line))
				}
				return rows
			}, placed),
		projection.On(func(r *Row, _ events.OrderConfirmed, _ es.Recorded) { r.Counted = true }),
		projection.OnKeys(
			func(e events.OrderCancelled, _ es.Recorded) (rows []string) {
				for _, l := range e.Lines {
					rows = append(rows, row(Cancellation, strconv.Itoa(e.N), l.Line))
				}
				return rows
			}, cancelled),
		projection.OnKeys(
			func(e events.OrderLinesReturned, _ es.Recorded) (rows []string) {
				for _, l := range e.Lines {
					rows = append(rows, row(Return, e.ReturnID, l.Line))
				}
				return rows
			}, returned),
	},
}

func row(kind, id string, line int) string { return kind + "/" + id + "/" + strconv.Itoa(line) }

// lineOf is the line of a row's suffix. An order may have thousands of rows, and each is folded by itself: names are compared for none.
func lineOf(suffix string) int {
	n, _ := strconv.Atoi(suffix[strings.LastIndexByte(suffix, '/')+1:]) // row wrote it
	return n
}

func placed(r *Row, suffix string, e events.OrderPlaced, at es.Recorded) {
	if suffix == "" {
		*r = Row{Kind: Order, At: at.OccurredAt(), Currency: e.Currency}
		return
	}
	n := lineOf(suffix)
	for _, l := range e.Lines {
		if l.Line == n {
			*r = Row{
				Kind: Line, At: at.OccurredAt(), Currency: e.Currency, Line: l.Line, SKU: l.SKU,
				Units: int64(l.Quantity), Price: l.UnitPrice, Amount: l.UnitPrice * int64(l.Quantity),
				Discount: l.Discount, Tax: l.Tax, Total: l.Total,
			}
		}
	}
}

func cancelled(r *Row, suffix string, e events.OrderCancelled, at es.Recorded) {
	*r = Row{Kind: Cancellation, At: at.OccurredAt()}
	n := lineOf(suffix)
	for _, l := range e.Lines {
		if l.Line == n {
			r.Line = l.Line
			r.Units += int64(l.Quantity)
		}
	}
}

func returned(r *Row, suffix string, e events.OrderLinesReturned, at es.Recorded) {
	*r = Row{Kind: Return, At: at.OccurredAt()}
	n := lineOf(suffix)
	for _, l := range e.Lines {
		if l.Line == n {
			r.Line, r.SKU = l.Line, l.SKU
			r.Units += int64(l.Quantity)
			r.Amount += l.Refund
		}
	}
}
