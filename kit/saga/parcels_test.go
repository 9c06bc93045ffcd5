package saga_test

import (
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/kit/saga/sagatest"
)

// A saga of parcels, several of one customer: pack each, wait for the carrier, hand each over, and see it arrive and be paid.
type (
	parcelsAsked struct {
		N       int      `json:"n"`
		Parcels []string `json:"parcels"`
	}
	parcelsAdded struct {
		N      int    `json:"n"`
		Parcel string `json:"parcel"`
	}
	parcelsFetched struct {
		Numbers []int `json:"numbers"`
	}
	parcelsArrived struct {
		N int `json:"n"`
	}
	parcelsPaid struct {
		N int `json:"n"`
	}
	parcelsRecalled struct {
		N int `json:"n"`
	}
	parcelsReturned struct {
		N      int    `json:"n"`
		Parcel string `json:"parcel"`
	}
	deskPacked struct {
		Parcel string `json:"parcel"`
	}
	deskFull     struct{}
	deskUnpacked struct{}
	deskJammed   struct{}
	vanLoaded    struct{}
	vanFull      struct{}
)

func (parcelsAsked) EventType() string    { return "parcels.asked" }
func (parcelsAdded) EventType() string    { return "parcels.added" }
func (parcelsFetched) EventType() string  { return "parcels.fetched" }
func (parcelsArrived) EventType() string  { return "parcels.arrived" }
func (parcelsPaid) EventType() string     { return "parcels.paid" }
func (parcelsRecalled) EventType() string { return "parcels.recalled" }
func (parcelsReturned) EventType() string { return "parcels.returned" }
func (deskPacked) EventType() string      { return "desk.packed" }
func (deskFull) EventType() string        { return "desk.full" }
func (deskUnpacked) EventType() string    { return "desk.unpacked" }
func (deskJammed) EventType() string      { return "desk.jammed" }
func (vanLoaded) EventType() string       { return "van.loaded" }
func (vanFull) EventType() string         { return "van.full" }

type sending struct {
	Parcels  []string
	Packed   map[string]int // how often
	Back     map[string]int // how often it came back
	Fetched  bool
	Arrived  bool
	Paid     bool
	Recalled bool
}

func (s sending) packed(t saga.Turn) bool { return s.Packed[t.Item] > s.Back[t.Item] }

func sendings() saga.Definition[sending] {
	one := func(n int) []int { return []int{n} }
	ask := func(verb string) func(sending, saga.Turn) saga.Commands {
		return func(_ sending, t saga.Turn) saga.Commands {
			return saga.Send(note{Verb: verb, Room: t.Item, Attempt: t.Attempt, At: t.At, Why: t.Why})
		}
	}
	return saga.Definition[sending]{
		Name: "sending", Version: 1,
		Start: saga.StartNumbered(
			func(e parcelsAsked) (int, bool) { return e.N, len(e.Parcels) > 0 },
			func(s *sending, e parcelsAsked) {
				s.Parcels, s.Packed, s.Back = e.Parcels, map[string]int{}, map[string]int{}
			}),
		On: []saga.Reply[sending]{
			saga.OnNumbered(func(e parcelsAdded) []int { return one(e.N) },
				func(s *sending, e parcelsAdded, _ saga.At) { s.Parcels = append(slices.Clip(s.Parcels), e.Parcel) }),
		},
		Abort: func(s sending) es.Code {
			if s.Recalled {
				return "recalled"
			}
			return ""
		},
		Steps: []saga.Step[sending]{
			{
				Name: "pack", Items: func(s sending) []string { return s.Parcels }, Do: ask("pack"), Undo: ask("unpack"),
				On: []saga.Reply[sending]{
					saga.On(func(s *sending, e deskPacked, _ saga.At) { s.Packed[e.Parcel]++ }),
					saga.Refusal(func(*sending, deskFull, saga.At) es.Code { return "full" }),
					saga.On(func(*sending, deskUnpacked, saga.At) {}),
					saga.Refusal(func(*sending, deskJammed, saga.At) es.Code { return "jammed" }).OfUndo(),
				},
				Done: sending.packed,
			},
			{
				Name: "carrier",
				On: []saga.Reply[sending]{
					saga.OnNumbered(func(e parcelsFetched) []int { return e.Numbers }, func(s *sending, _ parcelsFetched, _ saga.At) { s.Fetched = true }),
				},
				Done: func(s sending, _ saga.Turn) bool { return s.Fetched },
				Deadline: func(sending) saga.Deadline {
					return saga.Deadline{Within: time.Hour, Remind: []time.Duration{20 * time.Minute, 40 * time.Minute}, Code: "not_fetched"}
				},
			},
			{
				Name: "hand over", Items: func(s sending) []string { return s.Parcels }, Do: ask("load"), Insists: true,
				On: []saga.Reply[sending]{
					saga.On(func(*sending, vanLoaded, saga.At) {}),
					saga.Refusal(func(*sending, vanFull, saga.At) es.Code { return "full" }),
				},
			},
			{
				Name: "arrive",
				On: []saga.Reply[sending]{
					saga.OnNumbered(func(e parcelsArrived) []int { return one(e.N) }, func(s *sending, _ parcelsArrived, _ saga.At) { s.Arrived = true }),
				},
				Done:     func(s sending, _ saga.Turn) bool { return s.Arrived },
				Deadline: func(sending) saga.Deadline { return saga.Deadline{Within: 7 * 24 * time.Hour} },
				Late:     func(s *sending) { s.Arrived = true },
			},
			{
				Name: "payment",
				On: []saga.Reply[sending]{
					saga.OnNumbered(func(e parcelsPaid) []int { return one(e.N) }, func(s *sending, _ parcelsPaid, _ saga.At) { s.Paid = true }),
				},
				Done:     func(s sending, _ saga.Turn) bool { return s.Paid },
				Deadline: func(sending) saga.Deadline { return saga.Deadline{Within: 24 * time.Hour, Code: "not_paid"} },
			},
		},
		Reopen: saga.Reopen[sending]{
			Within: 30 * 24 * time.Hour,
			On: []saga.Reply[sending]{
				saga.OnNumbered(func(e parcelsRecalled) []int { return one(e.N) }, func(s *sending, _ parcelsRecalled, _ saga.At) { s.Recalled = true }),
				saga.OnNumbered(func(e parcelsReturned) []int { return one(e.N) }, func(s *sending, e parcelsReturned, _ saga.At) {
					s.Back[e.Parcel]++
					s.Arrived = false
				}),
			},
		},
	}
}

// TestKnobsOfParcels tells each knob that a saga of several instances, items and waits has in a file of its own.
func TestKnobsOfParcels(t *testing.T) {
	t.Parallel()
	c, err := es.NewCatalog(machine.Catalog(), []es.Definition{
		es.Define[parcelsAsked](1), es.Define[parcelsAdded](1), es.Define[parcelsFetched](1), es.Define[parcelsArrived](1), es.Define[parcelsPaid](1),
		es.Define[parcelsRecalled](1), es.Define[parcelsReturned](1), es.Define[deskPacked](1), es.Define[deskFull](1), es.Define[deskUnpacked](1),
		es.Define[deskJammed](1), es.Define[vanLoaded](1), es.Define[vanFull](1),
	})
	if err != nil {
		t.Fatal(err)
	}
	sagatest.Run(t, sendings(), c, 2, "testdata/sending-*.txt")
}
