// Package stock decides on one SKU's stock.
package stock

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/es"
)

// Stock is one SKU. Open holds live reservations, Ended the ids that may never reserve (again).
type Stock struct {
	OnHand   int
	Reserved int
	Open     map[string]int
	Ended    map[string]bool
}

func (*Stock) Category() string        { return "stock" }

func (s Stock) Available() int { return s.OnHand - s.Reserved }

func (s *Stock) Evolve(e es.Event) {
	switch e := e.(type) {
	case events.StockReceived:
		s.OnHand += e.Quantity
	case events.StockReserved:
		if s.Open == nil {
			s.Open = map[string]int{}
		}
		s.Reserved += e.Quantity
		s.Open[e.ReservationID] = e.Quantity
	case events.StockReservationRejected:
		s.end(e.ReservationID)
	case events.StockReleased:
		s.Reserved -= e.Quantity
		s.end(e.ReservationID)
	default:
		es.Unknown(e)
	}
}

func (s *Stock) end(id string) {
	if s.Ended == nil {
		s.Ended = map[string]bool{}
	}
	delete(s.Open, id)
	s.Ended[id] = true
}
