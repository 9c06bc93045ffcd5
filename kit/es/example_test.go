package es_test

import (
	"context"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// Lit and Quenched are facts about a lamp.
type (
	Lit      struct{}
	Quenched struct{}
)

func (Lit) EventType() string      { return "lamp.lit" }
func (Quenched) EventType() string { return "lamp.quenched" }

// Lamp is what a lamp's stream folds to.
type Lamp struct{ On bool }

func (*Lamp) Category() string { return "lamp" }

func (l *Lamp) Evolve(e es.Event) {
	switch e.(type) {
	case Lit:
		l.On = true
	case Quenched:
		l.On = false
	default:
		es.Unknown(e)
	}
}

// Light is a command.
type Light struct{ Lamp string }

func (Light) CommandType() string { return "lamp.light" }
func (c Light) Key() string       { return c.Lamp }

func (c Light) Decide(l Lamp) ([]es.Event, error) {
	if l.On {
		return es.Reject("lamp_burns", "lamp %s burns", c.Lamp)
	}
	return es.Facts(Lit{})
}

func Example() {
	catalog, err := es.NewCatalog([]es.Definition{es.Define[Lit](1), es.Define[Quenched](1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := es.NewHandler(memory.New(), catalog, time.Now)
	first := es.Call{ID: es.DerivedID(es.UUID{}, "request 1")}

	receipt, err := es.Handle(context.Background(), h, Light{"hall"}, first)
	fmt.Println(receipt.Stream, receipt.Revision, receipt.Replayed, err)
	receipt, err = es.Handle(context.Background(), h, Light{"hall"}, first) // sent again
	fmt.Println(receipt.Stream, receipt.Revision, receipt.Replayed, err)
	_, err = es.Handle(context.Background(), h, Light{"hall"}, es.Call{}) // another one
	fmt.Println(es.Rejected(err))
	// Output:
	// lamp-hall 0 false <nil>
	// lamp-hall 0 true <nil>
	// lamp_burns
}
