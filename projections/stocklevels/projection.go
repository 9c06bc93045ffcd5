// Package stocklevels answers: how many are there, and how many may still be promised?
package stocklevels

import (
	_ "embed"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Row is one SKU, in units.
type Row struct {
	Location string `db:"location"`
	OnHand   int64  `db:"on_hand"`
	Reserved int64  `db:"reserved"`
	Safety   int64  `db:"safety"`
}

// Available is what may still be promised; negative after a shortfall.
func (r Row) Available() int64 { return r.OnHand - r.Reserved - r.Safety }

//go:embed schema.sql
var schema string

// Projection keeps a row per SKU. Bump Version to rebuild.
var Projection = projection.Table[Row]{
	Name: "stock_levels", Version: 1, Stream: "stock", History: true, Schema: schema,
	On: []projection.Fold[Row]{
		projection.On(func(r *Row, e events.StockReceived, _ es.Recorded) { r.change(e.Location, e.Quantity, 0) }),
		projection.On(func(r *Row, e events.StockAdjusted, _ es.Recorded) { r.change(e.Location, e.Change, 0) }),
		projection.On(func(r *Row, e events.StockRestocked, _ es.Recorded) { r.change(e.Location, e.Quantity, 0) }),
		projection.On(func(r *Row, e events.StockWrittenOff, _ es.Recorded) { r.change(e.Location, -e.Quantity, 0) }),
		projection.On(func(r *Row, e events.StockReserved, _ es.Recorded) { r.change(e.Location, 0, e.Quantity) }),
		projection.On(func(r *Row, e events.StockReleased, _ es.Recorded) { r.change(e.Location, 0, -e.Quantity) }),
		projection.On(func(r *Row, e events.StockCommitted, _ es.Recorded) { r.change(e.Location, -e.Quantity, -e.Quantity) }),
		projection.On(func(r *Row, e events.StockReservationRefused, _ es.Recorded) { r.change(e.Location, 0, 0) }),
		projection.On(func(r *Row, e events.StockShortfallDetected, _ es.Recorded) { r.change(e.Location, 0, 0) }),
		projection.On(func(r *Row, e events.StockPolicySet, _ es.Recorded) {
			r.change(e.Location, 0, 0)
			r.Safety = int64(e.Safety)
		}),
	},
}

// change also takes events that change no number, so that the row's revision is the stream's.
func (r *Row) change(location string, onHand, reserved int) {
	r.Location = location
	r.OnHand += int64(onHand)
	r.Reserved += int64(reserved)
}
