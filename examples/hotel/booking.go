package hotel

import "github.com/daybook-dev/daybook/kit/es"

// Booking is one booking: its stream folded.
type Booking struct{ Asked, Ended bool }

func (*Booking) Category() string { return "booking" }

func (b *Booking) Evolve(e es.Event) {
	switch e.(type) {
	case BookingAsked:
		b.Asked = true
	case BookingConfirmed, BookingRejected:
		b.Ended = true
	default:
		es.Unknown(e)
	}
}

// Ask asks for a room for a night.
type Ask BookingAsked

func (Ask) CommandType() string { return "booking.ask" }
func (c Ask) Key() string       { return c.Booking }

func (c Ask) Decide(b Booking) ([]es.Event, error) {
	switch {
	case b.Asked:
		return es.Reject("booking_exists", "booking %s was asked for before", c.Booking)
	case c.Room == "" || c.Night == "" || c.Guest == "" || c.Price <= 0:
		return es.Reject("booking_invalid", "a booking needs a room, a night, a guest and a price")
	}
	return es.Facts(BookingAsked(c))
}

// Confirm ends a booking well.
type Confirm struct{ Booking string }

func (Confirm) CommandType() string { return "booking.confirm" }
func (c Confirm) Key() string       { return c.Booking }

func (c Confirm) Decide(b Booking) ([]es.Event, error) {
	if b.Ended {
		return es.Nothing()
	}
	return es.Facts(BookingConfirmed(c))
}

// Reject ends a booking, with the reason.
type Reject struct{ Booking, Why string }

func (Reject) CommandType() string { return "booking.reject" }
func (c Reject) Key() string       { return c.Booking }

func (c Reject) Decide(b Booking) ([]es.Event, error) {
	if b.Ended {
		return es.Nothing()
	}
	return es.Facts(BookingRejected(c))
}
