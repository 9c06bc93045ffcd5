package projection_test

import (
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// RoomBooked is a fact.
type RoomBooked struct{ Guest string }

func (RoomBooked) EventType() string { return "room.booked" }

// Room is a row of the table rooms.
type Room struct {
	Guest string `db:"guest"`
}

var rooms = projection.Table[Room]{
	Name: "rooms", Version: 1, Stream: "room",
	Schema: `create table rooms (like engine, guest text not null)`,
	On: []projection.Fold[Room]{
		projection.On(func(r *Room, e RoomBooked, _ es.Recorded) { r.Guest = e.Guest }),
	},
}

// A table is checked when its plan is made, as the engine does at start. Tests fold events with package projectiontest.
func Example() {
	plan, err := rooms.Plan()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Name, plan.Version, plan.Types)
	_, err = projection.Table[Room]{Name: "Rooms", Version: 1}.Plan()
	fmt.Println(err != nil)
	// Output:
	// rooms 1 [room.booked]
	// true
}
