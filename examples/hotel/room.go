package hotel

import (
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// Room knows for which booking each night is held.
type Room struct{ Nights map[string]string }

func (*Room) Category() string { return "room" }

func (r *Room) Evolve(e es.Event) {
	switch e := e.(type) {
	case RoomHeld:
		if r.Nights == nil {
			r.Nights = map[string]string{}
		}
		r.Nights[e.Night] = e.Booking
	case RoomFreed:
		delete(r.Nights, e.Night)
	default:
		es.Unknown(e)
	}
}

// Hold holds a night for a booking.
type Hold struct{ Room, Night, Booking string }

func (Hold) CommandType() string { return "room.hold" }
func (c Hold) Key() string       { return c.Room }

func (c Hold) Decide(r Room) ([]es.Event, error) {
	switch r.Nights[c.Night] {
	case "":
		return es.Facts(RoomHeld{c.Night, c.Booking})
	case c.Booking:
		return es.Nothing()
	}
	return es.Reject("room_taken", "room %s is taken on %s", c.Room, c.Night)
}

// Free gives a night back. A night that is held for another booking stays so.
type Free struct{ Room, Night, Booking string }

func (Free) CommandType() string { return "room.free" }
func (c Free) Key() string       { return c.Room }

func (c Free) Decide(r Room) ([]es.Event, error) {
	if r.Nights[c.Night] != c.Booking {
		return es.Nothing()
	}
	return es.Facts(RoomFreed{c.Night, c.Booking})
}

// nights is looked at by the doctor: each night of a room is held for one booking at a time.
func nights(runtime.Addresses) []doctor.Check {
	held := map[string]string{}
	return []doctor.Check{{Name: "nights", Fold: func(e es.Recorded, r *doctor.Report) {
		switch f := e.Event.(type) {
		case RoomHeld:
			night := e.Stream.Key + " " + f.Night
			if by := held[night]; by != "" {
				r.Find(doctor.At("H1", e, "the night is held already").Values(by, f.Booking))
			}
			held[night] = f.Booking
		case RoomFreed:
			delete(held, e.Stream.Key+" "+f.Night)
		}
	}}}
}
