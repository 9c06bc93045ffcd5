package plan_test

import (
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// RoomBooked is a fact.
type RoomBooked struct{ Guest string }

func (RoomBooked) EventType() string { return "room.booked" }

// Room is a row of the table rooms.
type Room struct {
	Guest string `db:"guest"`
}

// A batch tells which rows an event touches, and folds the event into them.
func Example() {
	plans, err := plan.Compile(projection.Table[Room]{
		Name: "rooms", Version: 1, Stream: "room",
		Schema: `create table rooms (like engine, guest text not null)`,
		On: []projection.Fold[Room]{
			projection.On(func(r *Room, e RoomBooked, _ es.Recorded) { r.Guest = e.Guest }),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	booked := es.Recorded{Event: RoomBooked{Guest: "Ann"}, Stream: es.StreamID{Category: "room", Key: "7"}}
	batch := plans[0].Begin(0)
	keys, err := batch.Touch(booked)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, k := range keys {
		if err := batch.Apply(k, booked); err != nil {
			fmt.Println(err)
		}
		fmt.Println(k, batch.Row(k).(*Room).Guest) //nolint:forcetypeassert // of this table
	}
	// Output: 7 Ann
}
