// Package stock decides on one SKU's stock: what is on the shelf, and what of it is promised to whom.
package stock

import (
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	Invalid            es.Code = "stock_invalid"
	ReceiptDiffers     es.Code = "receipt_differs"     // the receipt id is recorded with another quantity
	RestockDiffers     es.Code = "restock_differs"     // likewise
	ReservationDiffers es.Code = "reservation_differs" // likewise
	NotReserved        es.Code = "not_reserved"        // Commit of more than the reservation still holds
	NotEnough          es.Code = "not_enough_stock"
)

// Why a reservation was refused.
const (
	OutOfStock = "out_of_stock"
	Released   = "released" // its release came first
)

// Keep is how long an ended reservation stays known, by the times in the events.
const Keep = 72 * time.Hour

// Stock is one SKU. Physical units are OnHand, of which Reserved are promised.
type Stock struct {
	OnHand       int
	Reserved     int
	Safety       int                    // never promised
	Receipts     map[string]int         // quantity by receipt id, never forgotten
	Restocks     map[string]int         // by restock id, never forgotten
	Reservations map[string]Reservation // open ones, and ended ones until they are forgotten
	Ended        []Ending               // in the order of their ends
	Newest       time.Time              // greatest time seen
}

// Reservation is the units promised to one line: Quantity = Open + Committed + Released.
type Reservation struct {
	Quantity, Open, Committed, Released int
	Refused                             bool // a refusal is recorded
	Freed                               bool // a release is recorded
	Recorded                            bool // never forgotten
	EndedAt                             time.Time
}

// Ending is when a reservation came to its end.
type Ending struct {
	ID string
	At time.Time
}

func (*Stock) Category() string { return "stock" }

// Weight is what the maps take, with their keys.
func (s *Stock) Weight() int {
	const reservation, number = 200, 100
	return reservation*(len(s.Reservations)+len(s.Ended)) + number*(len(s.Receipts)+len(s.Restocks))
}

// Available is what may still be promised; negative after a shortfall.
func (s Stock) Available() int { return s.OnHand - s.Reserved - s.Safety }

func (s *Stock) Evolve(e es.Event) {
	switch e := e.(type) {
	case events.StockReceived:
		s.OnHand += e.Quantity
		keep(&s.Receipts, e.ReceiptID, e.Quantity)
	case events.StockRestocked:
		s.OnHand += e.Quantity
		keep(&s.Restocks, e.RestockID, e.Quantity)
	case events.StockAdjusted:
		s.OnHand += e.Change
	case events.StockWrittenOff:
		s.OnHand -= e.Quantity
	case events.StockPolicySet:
		s.Safety = e.Safety
	case events.StockShortfallDetected:
	case events.StockReserved:
		s.Reserved += e.Quantity
		s.set(e.ReservationID, Reservation{Quantity: e.Quantity, Open: e.Quantity, Recorded: e.Recorded}, e.At)
	case events.StockReservationRefused:
		r := s.Reservations[e.ReservationID]
		r.Refused = true
		s.set(e.ReservationID, r, e.At)
	case events.StockReleased:
		r := s.Reservations[e.ReservationID]
		r.Open, r.Released, r.Freed = r.Open-e.Quantity, r.Released+e.Quantity, true
		s.Reserved -= e.Quantity
		s.set(e.ReservationID, r, e.At)
	case events.StockCommitted:
		r := s.Reservations[e.ReservationID]
		r.Open, r.Committed = r.Open-e.Quantity, r.Committed+e.Quantity
		s.Reserved, s.OnHand = s.Reserved-e.Quantity, s.OnHand-e.Quantity
		s.set(e.ReservationID, r, e.At)
	default:
		es.Unknown(e)
	}
}

// set keeps a reservation as it now is, and forgets those that ended long ago. An end without a time stays known for
// ever, which costs memory and nothing else.
func (s *Stock) set(id string, r Reservation, at time.Time) {
	if r.Open == 0 && !r.Recorded && !at.IsZero() {
		r.EndedAt = at
		s.Ended = append(s.Ended, Ending{id, at})
	}
	keep(&s.Reservations, id, r)
	if at.After(s.Newest) {
		s.Newest = at
	}
	for len(s.Ended) > 0 && s.Newest.Sub(s.Ended[0].At) > Keep {
		if first := s.Ended[0]; s.Reservations[first.ID].EndedAt.Equal(first.At) {
			delete(s.Reservations, first.ID)
		}
		s.Ended = s.Ended[1:]
	}
}

func keep[V any](m *map[string]V, id string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[id] = v
}

// tooMany tells whether n more units would be more than any count can hold.
func (s Stock) tooMany(n int) bool { return n > events.MaxAmount-max(s.OnHand, 0) }
