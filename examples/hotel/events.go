// Package hotel takes bookings of rooms. It is built with Daybook's kit: facts (events.go), what may be decided (booking.go, room.go,
// purse.go), the process that a booking is (stay.go), what is shown (bookings.go), and the API (routes.go).
package hotel

import "github.com/daybook-dev/daybook/kit/es"

// A booking ends confirmed or rejected. A night of a room is held for one booking at a time. A guest pays out of a purse.
type (
	BookingAsked struct {
		Booking, Room, Guest string
		Night                string // 2030-05-17
		Price                int
	}
	BookingConfirmed struct{ Booking string }
	BookingRejected  struct{ Booking, Why string }

	RoomHeld  struct{ Night, Booking string }
	RoomFreed struct{ Night, Booking string }

	PurseCharged struct {
		Booking string
		Amount  int
	}
	PurseRefunded struct {
		Booking string
		Amount  int
	}
)

func (BookingAsked) EventType() string     { return "booking.asked" }
func (BookingConfirmed) EventType() string { return "booking.confirmed" }
func (BookingRejected) EventType() string  { return "booking.rejected" }
func (RoomHeld) EventType() string         { return "room.held" }
func (RoomFreed) EventType() string        { return "room.freed" }
func (PurseCharged) EventType() string     { return "purse.charged" }
func (PurseRefunded) EventType() string    { return "purse.refunded" }

// Catalog is every fact, with its version.
func Catalog() []es.Definition {
	return []es.Definition{
		es.Define[BookingAsked](1), es.Define[BookingConfirmed](1), es.Define[BookingRejected](1),
		es.Define[RoomHeld](1), es.Define[RoomFreed](1), es.Define[PurseCharged](1), es.Define[PurseRefunded](1),
	}
}
