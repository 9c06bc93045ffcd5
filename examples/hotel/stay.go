package hotel

import (
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
)

// Stay confirms a booking, or rejects it. Its steps are done from top to bottom, and undone from bottom to top.
var Stay = saga.Definition[BookingAsked]{
	Name: "stay", Version: 1,
	Start: saga.Start(nil, func(b *BookingAsked, e BookingAsked) { *b = e }),
	Steps: []saga.Step[BookingAsked]{
		{
			Name: "booking", // asked for already
			Undo: func(b BookingAsked, t saga.Turn) saga.Commands { return saga.Send(Reject{b.Booking, string(t.Why)}) },
			On:   heard[BookingRejected](),
		},
		{
			Name: "room",
			Do:   func(b BookingAsked, _ saga.Turn) saga.Commands { return saga.Send(Hold{b.Room, b.Night, b.Booking}) },
			Undo: func(b BookingAsked, _ saga.Turn) saga.Commands { return saga.Send(Free{b.Room, b.Night, b.Booking}) },
			On:   append(heard[RoomHeld](), heard[RoomFreed]()...),
		},
		{
			Name: "payment",
			Do:   func(b BookingAsked, _ saga.Turn) saga.Commands { return saga.Send(Charge{b.Guest, b.Booking, b.Price}) },
			Undo: func(b BookingAsked, _ saga.Turn) saga.Commands { return saga.Send(Refund{b.Guest, b.Booking}) },
			On:   append(heard[PurseCharged](), heard[PurseRefunded]()...),
		},
		{
			Name: "confirmation",
			Do:   func(b BookingAsked, _ saga.Turn) saga.Commands { return saga.Send(Confirm{b.Booking}) },
			On:   heard[BookingConfirmed](),
		},
	},
}

// heard is an answer that changes nothing but the progress of its step.
func heard[E es.Event]() []saga.Reply[BookingAsked] {
	return []saga.Reply[BookingAsked]{saga.On(func(*BookingAsked, E, saga.At) {})}
}
