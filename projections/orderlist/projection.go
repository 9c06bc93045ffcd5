// Package orderlist answers: which orders are there?
package orderlist

import (
	_ "embed"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Row is one order, as lists show it.
type Row struct {
	Number       string    `db:"number"`
	Status       string    `db:"status"`
	StatusBefore string    `db:"status_before"` // what a refused cancellation goes back to
	Total        int64     `db:"total"`
	Currency     string    `db:"currency"`
	PlacedAt     time.Time `db:"placed_at"`
	Country      string    `db:"country"`
	CustomerID   string    `db:"customer_id"` // empty: a guest
}

//go:embed schema.sql
var schema string

// Projection keeps a row per order. Bump Version to rebuild.
var Projection = projection.Table[Row]{
	Name: "order_list", Version: 1, Stream: "order", History: true, Schema: schema,
	On: []projection.Fold[Row]{
		projection.On(func(r *Row, e events.OrderPlaced, at es.Recorded) {
			*r = Row{
				Number: e.Number, Status: "placed", Total: e.Total, Currency: e.Currency, PlacedAt: at.OccurredAt(),
				Country: e.ShipTo.Country, CustomerID: e.Customer.ID,
			}
		}),
		projection.On(func(r *Row, _ events.OrderConfirmed, _ es.Recorded) { r.Status = "confirmed" }),
		projection.On(func(r *Row, _ events.OrderRejected, _ es.Recorded) { r.Status = "rejected" }),
		projection.On(func(r *Row, _ events.OrderCancelRequested, _ es.Recorded) {
			r.StatusBefore, r.Status = r.Status, "cancelling"
		}),
		projection.On(func(r *Row, _ events.OrderCancelRefused, _ es.Recorded) { r.Status = r.StatusBefore }),
		projection.On(func(r *Row, _ events.OrderCancelled, _ es.Recorded) { r.Status = "cancelled" }),
		projection.On(func(r *Row, _ events.OrderClosed, _ es.Recorded) { r.Status = "closed" }),
	},
}
