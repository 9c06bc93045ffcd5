package doctor_test

import (
	"fmt"

	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

// SeatTaken is by one traveller.
type SeatTaken struct{ Seat, Traveller string }

func (SeatTaken) EventType() string { return "train.seat_taken" }

// seats: no seat is taken twice.
func seats() doctor.Check {
	taken := map[string]string{}
	return doctor.Check{
		Name: "seats", Invariants: "T1",
		Fold: func(e es.Recorded, r *doctor.Report) {
			if s, ok := e.Event.(SeatTaken); ok {
				if by := taken[s.Seat]; by != "" {
					r.Find(doctor.At("T1", e, "seat %s is taken twice", s.Seat).Values(by, s.Traveller))
				}
				taken[s.Seat] = s.Traveller
			}
		},
		Look: func(_ doctor.Seen, r *doctor.Report) { r.Checked["seats"] = len(taken) },
	}
}

// runtime.Examine does this with Domain.Checks.
func Example() {
	check, report := seats(), doctor.NewReport()
	for n, e := range []SeatTaken{{"12a", "ada"}, {"12b", "bob"}, {"12a", "eve"}} {
		check.Fold(es.Recorded{Event: e, Stream: es.StreamID{Category: "train", Key: "7"}, Revision: uint64(n), Position: uint64(n) + 1}, report)
	}
	check.Look(doctor.Seen{}, report)
	fmt.Println(report.Checked["seats"], report.Findings[0])
	// Output: 2 T1  train-7@2  position 3  seat 12a is taken twice: expected ada, found eve
}
