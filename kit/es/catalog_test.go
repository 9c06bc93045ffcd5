package es_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

type Renamed struct {
	Whole string `json:"whole"`
}

func (Renamed) EventType() string { return "thing.renamed" }

type renamedV1 struct {
	First, Last string
}

type renamedV2 struct {
	Name string
}

func TestUpcast(t *testing.T) {
	c, err := es.NewCatalog([]es.Definition{es.Define[Renamed](3,
		es.Upcast(1, func(o renamedV1) Renamed { return Renamed{o.First + " " + o.Last} }),
		es.Upcast(2, func(o renamedV2) Renamed { return Renamed{o.Name} }),
	)})
	if err != nil {
		t.Fatal(err)
	}
	for version, data := range map[int]string{1: `{"First":"a","Last":"b"}`, 2: `{"Name":"a b"}`, 3: `{"whole":"a b"}`} {
		e, err := c.Decode("thing.renamed", version, []byte(data))
		if err != nil || e != (Renamed{"a b"}) {
			t.Errorf("version %d: %v, %v", version, e, err)
		}
	}
	for _, version := range []int{0, -1, 4} {
		if e, err := c.Decode("thing.renamed", version, []byte(`{}`)); err == nil {
			t.Errorf("version %d gave %v", version, e)
		}
	}
	if e, err := c.Decode("thing.lost", 1, []byte(`{}`)); err == nil {
		t.Errorf("an unknown type gave %v", e)
	}
	typ, schema, data, err := c.Encode(Renamed{"a b"})
	if err != nil || typ != "thing.renamed" || schema != 3 || string(data) != `{"whole":"a b"}` {
		t.Errorf("%s version %d %s, %v", typ, schema, data, err)
	}
	if _, _, _, err := c.Encode(Added{}); err == nil {
		t.Error("an event that is not in the catalog was encoded")
	}
	for _, bad := range []es.Record{
		{Type: "thing.renamed", Data: []byte(`{}`), Meta: []byte(`{`)},
		{Type: "thing.renamed", Data: []byte(`{`), Meta: []byte(`{"schema":3}`)},
		{Type: "thing.renamed", Data: []byte(`{}`), Meta: []byte(`{}`)},
	} {
		bad.Stream, bad.Revision = es.StreamID{Category: "thing", Key: "x"}, 4
		if _, err := c.Open(bad); err == nil || !strings.Contains(err.Error(), "thing-x@4") {
			t.Errorf("%s %s: %v", bad.Data, bad.Meta, err)
		}
	}
}

type Nameless struct{}

func (Nameless) EventType() string { return "nameless" }

// All that is wrong is said at once.
func TestCatalogProblems(t *testing.T) {
	_, err := es.NewCatalog([]es.Definition{
		es.Define[Added](1), es.Define[Added](1), es.Define[Nameless](1), es.Define[Renamed](3, es.Upcast(2, func(renamedV2) Renamed { return Renamed{} })),
	}, []es.Definition{es.Define[Poison](1, es.Upcast(1, func(struct{}) Poison { return Poison{} }))})
	for _, want := range []string{"tally.added: defined twice", "nameless: not", "thing.renamed: no upcaster from version 1", "tally.poison: upcaster from version 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	c, err := es.NewCatalog([]es.Definition{es.Define[Poison](1), es.Define[Added](2, es.Upcast(1, func(a Added) Added { return a }))})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for d := range c.Definitions() {
		got = append(got, d.Type)
	}
	if d := cmp.Diff([]string{"tally.added", "tally.poison"}, got); d != "" {
		t.Error(d)
	}
}

type heard struct{}

func (heard) EventType() string { return "saga.heard" }

// The prefix of a saga's own events is the saga engine's: a domain may not define or record such an event, which would not be relayed.
func TestSagaEventsAreTheEngines(t *testing.T) {
	if _, err := es.NewCatalog([]es.Definition{es.Define[heard](1)}); err == nil || !strings.Contains(err.Error(), "saga.heard: types that begin with saga.") {
		t.Errorf("another's event: %v", err)
	}
	if _, err := es.NewCatalog([]es.Definition{es.DefineSaga[Renamed](1)}); err == nil || !strings.Contains(err.Error(), "thing.renamed: types that begin with saga.") {
		t.Errorf("an event of the engine with another's name: %v", err)
	}
	c, err := es.NewCatalog([]es.Definition{es.DefineSaga[heard](1)})
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	if _, err := es.Handle(t.Context(), es.NewHandler(store, c, store.Now), tell{}, es.Call{}); err == nil || !strings.Contains(err.Error(), "no command records it") {
		t.Errorf("a command: %v", err)
	}
	if n := len(store.All(0)); n > 0 {
		t.Errorf("%d events were recorded", n)
	}
}

type (
	teller struct{}
	tell   struct{}
)

func (*teller) Category() string               { return "saga" }
func (*teller) Evolve(es.Event)                {}
func (tell) CommandType() string               { return "saga.tell" }
func (tell) Key() string                       { return "o" }
func (tell) Decide(teller) ([]es.Event, error) { return []es.Event{heard{}}, nil }
