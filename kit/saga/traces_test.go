package saga_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/kit/saga/sagatest"
)

// A saga of tables: hold them all, wait for the card, confirm, and tell the kitchen.
type (
	dinnerAsked struct {
		Tables []string `json:"tables"`
		Guests int      `json:"guests"`
		Free   bool     `json:"free"`
	}
	dinnerDropped struct{}
	tableHeld     struct {
		Table string `json:"table"`
	}
	tableTaken struct{}
	tableFreed struct{}
	cardWaits  struct{}
	cardKnown  struct {
		State string `json:"state"`
	}
	cardKept      struct{}
	dinnerAgreed  struct{}
	kitchenKnows  struct{}
	kitchenClosed struct{}
)

func (dinnerAsked) EventType() string   { return "dinner.asked" }
func (dinnerDropped) EventType() string { return "dinner.dropped" }
func (tableHeld) EventType() string     { return "table.held" }
func (tableTaken) EventType() string    { return "table.taken" }
func (tableFreed) EventType() string    { return "table.freed" }
func (cardWaits) EventType() string     { return "card.waits" }
func (cardKnown) EventType() string     { return "card.known" }
func (cardKept) EventType() string      { return "card.kept" }
func (dinnerAgreed) EventType() string  { return "dinner.agreed" }
func (kitchenKnows) EventType() string  { return "kitchen.knows" }
func (kitchenClosed) EventType() string { return "kitchen.closed" }

type dinner struct {
	Tables  []string
	Free    bool
	Dropped bool
	Waits   bool
	Card    string
}

func dinners() saga.Definition[dinner] {
	tell := func(verb, key string) func(dinner, saga.Turn) saga.Commands {
		return func(_ dinner, t saga.Turn) saga.Commands {
			return saga.Send(note{Verb: verb, Room: key, Attempt: t.Attempt, At: t.At, Why: t.Why})
		}
	}
	return saga.Definition[dinner]{
		Name: "booking", Version: 1,
		Start: saga.Start(func(e dinnerAsked) bool { return e.Guests > 0 }, func(d *dinner, e dinnerAsked) {
			d.Tables, d.Free = e.Tables, e.Free
		}),
		On: []saga.Reply[dinner]{saga.On(func(d *dinner, _ dinnerDropped, _ saga.At) { d.Dropped = true })},
		Abort: func(d dinner) es.Code {
			if d.Dropped {
				return "dropped"
			}
			return ""
		},
		Steps: []saga.Step[dinner]{
			{
				Name:  "hold",
				Items: func(d dinner) []string { return d.Tables },
				Do: func(_ dinner, t saga.Turn) saga.Commands {
					return saga.Send(note{Verb: "hold", Room: t.Item, Attempt: t.Attempt, At: t.At})
				},
				On: []saga.Reply[dinner]{
					saga.On(func(*dinner, tableHeld, saga.At) {}),
					saga.Refusal(func(*dinner, tableTaken, saga.At) es.Code { return "taken" }),
					saga.On(func(*dinner, tableFreed, saga.At) {}).OfUndo(),
				},
				Undo: func(_ dinner, t saga.Turn) saga.Commands {
					return saga.Send(note{Verb: "free", Room: t.Item, Attempt: t.Attempt, At: t.At, Why: t.Why})
				},
				Deadline: func(dinner) saga.Deadline { return saga.Deadline{Within: time.Minute, Code: "no_table"} },
			},
			{
				Name: "card",
				Do: func(d dinner, t saga.Turn) saga.Commands {
					if d.Free {
						return nil
					}
					return saga.Send(note{Verb: "check", Room: "card", Attempt: t.Attempt, At: t.At})
				},
				On: []saga.Reply[dinner]{
					saga.On(func(d *dinner, _ cardWaits, _ saga.At) { d.Waits = true }),
					saga.On(func(d *dinner, e cardKnown, _ saga.At) { d.Card = e.State }),
					saga.Refusal(func(*dinner, cardKept, saga.At) es.Code { return "kept" }).OfUndo(),
				},
				Done: func(d dinner, _ saga.Turn) bool { return d.Card == "good" },
				Refused: func(d dinner, _ saga.Turn) es.Code {
					if d.Card == "bad" {
						return "bad_card"
					}
					return ""
				},
				Undo:   tell("forget", "card"),
				Undone: func(d dinner, _ saga.Turn) bool { return d.Card == "bad" || d.Card == "gone" },
				Deadline: func(d dinner) saga.Deadline {
					if d.Waits {
						return saga.Deadline{For: "the guest", Within: 10 * time.Minute}
					}
					return saga.Deadline{Within: time.Minute}
				},
			},
			{Name: "agree", Do: tell("agree", "desk"), On: []saga.Reply[dinner]{saga.On(func(*dinner, dinnerAgreed, saga.At) {})}},
			{
				Name: "kitchen", Do: tell("tell", "kitchen"), Insists: true,
				On: []saga.Reply[dinner]{
					saga.On(func(*dinner, kitchenKnows, saga.At) {}),
					saga.Refusal(func(*dinner, kitchenClosed, saga.At) es.Code { return "closed" }),
				},
			},
		},
	}
}

type note struct {
	Verb, Room string
	Attempt    int
	At         time.Time
	Why        es.Code
}

func (n note) CommandType() string           { return "room." + n.Verb }
func (n note) Key() string                   { return n.Room }
func (note) Decide(room) ([]es.Event, error) { return nil, nil }

// TestKnobs tells each knob of a definition in a file of its own.
func TestKnobs(t *testing.T) {
	t.Parallel()
	c, err := es.NewCatalog(machine.Catalog(), []es.Definition{
		es.Define[dinnerAsked](1), es.Define[dinnerDropped](1), es.Define[tableHeld](1), es.Define[tableTaken](1),
		es.Define[tableFreed](1), es.Define[cardWaits](1), es.Define[cardKnown](1), es.Define[cardKept](1),
		es.Define[dinnerAgreed](1), es.Define[kitchenKnows](1), es.Define[kitchenClosed](1),
	})
	if err != nil {
		t.Fatal(err)
	}
	sagatest.Run(t, dinners(), c, 0, "testdata/booking-*.txt")
}
