package saga_test

import (
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
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

// A definition is checked when its machine is made, as the engine does at start. Tests replay traces with package sagatest.
func Example() {
	m, err := journey.Machine()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Name, m.StartsOn, m.Answers)
	// Output: journey trip.planned [seat.taken]
}
