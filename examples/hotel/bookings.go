package hotel

import (
	"context"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Row is one booking as it is shown.
type Row struct {
	Room   string `db:"room"   json:"room"`
	Night  string `db:"night"  json:"night"`
	Guest  string `db:"guest"  json:"guest"`
	Price  int    `db:"price"  json:"price"`
	Status string `db:"status" json:"status"`
	Why    string `db:"why"    json:"why,omitempty"`
}

// Bookings keeps a row per booking. Raise Version to build it anew.
var Bookings = projection.Table[Row]{
	Name: "bookings", Version: 1, Stream: "booking",
	Schema: `
		create table bookings (
			like engine,
			room text not null, night text not null, guest text not null, price integer not null,
			status text not null, why text not null
		)`,
	On: []projection.Fold[Row]{
		projection.On(func(r *Row, e BookingAsked, _ es.Recorded) { *r = Row{e.Room, e.Night, e.Guest, e.Price, "asked", ""} }),
		projection.On(func(r *Row, _ BookingConfirmed, _ es.Recorded) { r.Status = "confirmed" }),
		projection.On(func(r *Row, e BookingRejected, _ es.Recorded) { r.Status, r.Why = "rejected", e.Why }),
	},
}

// booking reads one booking that reflects everything up to a position; nil if there is none.
func booking(ctx context.Context, view query.View, id string, position uint64) (*Row, error) {
	row, _, err := query.One[Row](ctx, view, query.Ask{Key: id, MinPosition: position}, `select `+query.Columns[Row]()+` from {bookings} where key = $1`, id)
	return row, err
}
