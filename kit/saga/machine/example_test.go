package machine_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// TripPlanned starts a trip, SeatTaken answers its one step.
type (
	TripPlanned struct{ Seat string }
	SeatTaken   struct{}
)

func (TripPlanned) EventType() string { return "trip.planned" }
func (SeatTaken) EventType() string   { return "seat.taken" }

// Seat is what a seat's stream folds to.
type Seat struct{ Taken bool }

func (*Seat) Category() string  { return "seat" }
func (s *Seat) Evolve(es.Event) { s.Taken = true }

// TakeSeat is the command of the step.
type TakeSeat struct{ Seat string }

func (TakeSeat) CommandType() string             { return "seat.take" }
func (c TakeSeat) Key() string                   { return c.Seat }
func (TakeSeat) Decide(Seat) ([]es.Event, error) { return es.Facts(SeatTaken{}) }

var journey = saga.Definition[TripPlanned]{
	Name: "journey", Version: 1,
	Start: saga.Start(nil, func(s *TripPlanned, e TripPlanned) { *s = e }),
	Steps: []saga.Step[TripPlanned]{{
		Name: "seat",
		Do:   func(s TripPlanned, _ saga.Turn) saga.Commands { return saga.Send(TakeSeat(s)) },
		On:   []saga.Reply[TripPlanned]{saga.On(func(*TripPlanned, SeatTaken, saga.At) {})},
	}},
}

// An engine steps an instance, stores what was taken, and sends the commands that the instance owes then.
func Example() {
	machines, err := machine.Compile(journey)
	if err != nil {
		fmt.Println(err)
		return
	}
	planned := TripPlanned{Seat: "12A"}
	data, err := json.Marshal(planned)
	if err != nil {
		fmt.Println(err)
		return
	}
	run := machines[0].New(es.StreamID{Category: "journey", Key: "T"})
	heard := machine.Heard{Recorded: es.Recorded{Event: planned, Stream: es.StreamID{Category: "trip", Key: "T"}, Meta: es.Meta{Schema: 1}}, Data: data}
	taken, ok := run.Step(heard, time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC))
	fmt.Println(ok, taken.Decisions[0].Kind, taken.Decisions[0].Step)
	for _, owed := range run.Effects() {
		fmt.Println(owed.Command.CommandType(), owed.Command.Stream())
	}
	// Output:
	// true began seat
	// seat.take seat-12A
}
