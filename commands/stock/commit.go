package stock

import (
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Commit says that reserved units have left the house.
type Commit struct {
	SKU, ReservationID, OrderID string
	Quantity                    int
	Recorded                    bool
	At                          time.Time
}

func (Commit) CommandType() string { return "stock.commit" }
func (c Commit) Key() string       { return c.SKU }

func (c Commit) Decide(s Stock) ([]es.Event, error) {
	r := s.Reservations[c.ReservationID]
	switch {
	case c.Quantity <= 0:
		return es.Reject(Invalid, "a commit of %s needs a quantity above 0", c.SKU)
	case r.Open == 0 && r.Committed == c.Quantity:
		return es.Nothing()
	case r.Open < c.Quantity:
		return es.Reject(NotReserved, "reservation %s of %s holds %d, not %d", c.ReservationID, c.SKU, r.Open, c.Quantity)
	case s.OnHand < c.Quantity: // after a shortfall: what is not there cannot leave
		return es.Reject(NotEnough, "there are only %d of %s", s.OnHand, c.SKU)
	}
	return es.Facts(events.StockCommitted{
		SKU: c.SKU, Location: events.MainLocation, ReservationID: c.ReservationID, OrderID: c.OrderID,
		Quantity: c.Quantity, Recorded: c.Recorded, At: es.Micro(c.At),
	})
}
