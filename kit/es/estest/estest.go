// Package estest tells commands as given / when / then.
package estest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daybook-dev/daybook/kit/es"
)

// Past is a stream's history, ready for one command. Name it once per test package:
//
//	var given = estest.Given[order.Order]
type Past[S any] struct {
	t        testing.TB
	fold     func() S // anew, sharing nothing
	category string
}

// Given folds past events.
func Given[S any, P es.State[S]](t testing.TB, past ...es.Event) *Past[S] {
	t.Helper()
	for _, e := range past {
		belongs(t, P(nil).Category(), e)
	}
	return &Past[S]{t: t, category: P(nil).Category(), fold: func() (state S) {
		for _, e := range past {
			P(&state).Evolve(stored(t, e))
		}
		return state
	}}
}

// Outcome is what a command decided.
type Outcome struct {
	t      testing.TB
	events []es.Event
	err    error
}

// When decides a command. It must leave the state as it was, and decide only events of the stream's category
// that come out of the store as they went in: the state that is cached and the one read again would differ.
func (p *Past[S]) When(d es.Decision[S]) *Outcome {
	p.t.Helper()
	state := p.fold()
	events, err := d.Decide(state)
	if diff := cmp.Diff(p.fold(), state, asIs); diff != "" {
		p.t.Errorf("%s changed the state it was given (-before +after):\n%s", d.CommandType(), diff)
	}
	for _, e := range events {
		belongs(p.t, p.category, e)
		if diff := cmp.Diff(e, stored(p.t, e), asIs); diff != "" {
			p.t.Errorf("%s decided a %s that is not stored whole (-decided +stored):\n%s", d.CommandType(), e.EventType(), diff)
		}
	}
	return &Outcome{p.t, events, err}
}

// asIs compares everything, unexported fields too; what is empty is empty, however it is written.
var asIs = cmp.Options{cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty()}

func belongs(t testing.TB, category string, e es.Event) {
	t.Helper()
	if c, _, _ := strings.Cut(e.EventType(), "."); c != category {
		t.Errorf("%s does not belong in a stream of %s", e.EventType(), category)
	}
}

// stored is an event as it is read back.
func stored(t testing.TB, e es.Event) es.Event {
	t.Helper()
	data, err := json.Marshal(e)
	back := reflect.New(reflect.TypeOf(e))
	if err == nil {
		err = json.Unmarshal(data, back.Interface())
	}
	if err != nil {
		t.Fatalf("store %s: %v", e.EventType(), err)
	}
	return back.Elem().Interface().(es.Event)
}

// Then expects these events, in this order.
func (o *Outcome) Then(want ...es.Event) {
	o.t.Helper()
	if o.err != nil {
		o.t.Fatalf("rejected: %v", o.err)
	}
	if diff := cmp.Diff(want, o.events, asIs); diff != "" {
		o.t.Errorf("decided %s\n(-want +got):\n%s", show(o.events), diff)
	}
}

// ThenNothing expects that there is nothing to do.
func (o *Outcome) ThenNothing() { o.t.Helper(); o.Then() }

// ThenRejected expects a refusal.
func (o *Outcome) ThenRejected(code es.Code) {
	o.t.Helper()
	if got := es.Rejected(o.err); got != code || len(o.events) > 0 {
		o.t.Errorf("got error %v and events %s, want rejection %s", o.err, show(o.events), code)
	}
}

func show(events []es.Event) string {
	var b strings.Builder
	for _, e := range events {
		j, err := json.Marshal(e)
		if err != nil {
			j = fmt.Appendf(nil, "%+v: %v", e, err)
		}
		b.WriteString("\n  " + e.EventType() + " " + string(j))
	}
	return b.String()
}

// FoldsAll fails when Evolve has no case for an event of its category: the forgotten line of a new event.
// zero events come from the catalog.
func FoldsAll[S any, P es.State[S]](t testing.TB, c *es.Catalog) {
	t.Helper()
	found := false
	defer func() {
		if !found {
			t.Errorf("the catalog has no event of category %s", P(nil).Category())
		}
	}()
	for d := range c.Definitions() {
		if cat, _, _ := strings.Cut(d.Type, "."); cat != P(nil).Category() {
			continue
		}
		found = true
		func() {
			defer func() {
				if u, ok := recover().(es.UnknownEvent); ok {
					t.Errorf("%T: %v", P(nil), u)
				}
			}()
			e, err := c.Decode(d.Type, d.Version, []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			P(new(S)).Evolve(e)
		}()
	}
}
