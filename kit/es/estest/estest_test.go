package estest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/estest"
)

type Grown struct {
	By    int      `json:"by"`
	Notes []string `json:"notes,omitempty"`
	lost  int
}

func (Grown) EventType() string { return "plant.grown" }

type Watered struct{}

func (Watered) EventType() string { return "plant.watered" }

type Eaten struct{}

func (Eaten) EventType() string { return "animal.eaten" }

type Plant struct {
	Height int
	leaves map[string]int
}

func (*Plant) Category() string { return "plant" }

func (p *Plant) Evolve(e es.Event) {
	switch e := e.(type) {
	case Grown:
		p.Height += e.By
		p.leaves = map[string]int{"green": p.Height}
	default:
		es.Unknown(e)
	}
}

type command func(Plant) ([]es.Event, error)

func (command) CommandType() string                  { return "plant.do" }
func (command) Key() string                          { return "p" }
func (c command) Decide(p Plant) ([]es.Event, error) { return c(p) }

// observer is a test that may fail.
type observer struct {
	testing.TB

	said []string
}

func (o *observer) Helper()                      {}
func (o *observer) Errorf(f string, args ...any) { o.said = append(o.said, fmt.Sprintf(f, args...)) }
func (o *observer) Fatalf(f string, args ...any) { o.Errorf(f, args...); panic(o) }
func (o *observer) Fatal(args ...any)            { o.Fatalf("%s", fmt.Sprint(args...)) }

// TestSays holds given / when / then to failing where it should, and only there.
func TestSays(t *testing.T) {
	grow := command(func(Plant) ([]es.Event, error) { return es.Facts(Grown{By: 2}) })
	nothing := command(func(Plant) ([]es.Event, error) { return es.Nothing() })
	reject := command(func(Plant) ([]es.Event, error) { return es.Reject("too_tall", "no") })
	for name, c := range map[string]struct {
		run  func(testing.TB)
		says string
	}{
		"as expected":       {func(t testing.TB) { estest.Given[Plant](t, Grown{By: 1}).When(grow).Then(Grown{By: 2}) }, ""},
		"empty is empty":    {func(t testing.TB) { estest.Given[Plant](t).When(grow).Then(Grown{By: 2, Notes: []string{}}) }, ""},
		"another event":     {func(t testing.TB) { estest.Given[Plant](t).When(grow).Then(Grown{By: 3}) }, "By"},
		"one more":          {func(t testing.TB) { estest.Given[Plant](t).When(grow).Then() }, "decided"},
		"one less":          {func(t testing.TB) { estest.Given[Plant](t).When(nothing).Then(Grown{}) }, "decided"},
		"nothing":           {func(t testing.TB) { estest.Given[Plant](t).When(nothing).ThenNothing() }, ""},
		"not nothing":       {func(t testing.TB) { estest.Given[Plant](t).When(grow).ThenNothing() }, "decided"},
		"rejected":          {func(t testing.TB) { estest.Given[Plant](t).When(reject).ThenRejected("too_tall") }, ""},
		"another rejection": {func(t testing.TB) { estest.Given[Plant](t).When(reject).ThenRejected("too_short") }, "too_tall"},
		"not rejected":      {func(t testing.TB) { estest.Given[Plant](t).When(grow).ThenRejected("too_tall") }, "want rejection"},
		"rejected instead":  {func(t testing.TB) { estest.Given[Plant](t).When(reject).Then() }, "rejected"},
		"state changed": {func(t testing.TB) {
			estest.Given[Plant](t, Grown{By: 1}).When(command(func(p Plant) ([]es.Event, error) { p.leaves["green"] = 7; return es.Nothing() })).ThenNothing()
		}, "changed the state"},
		"foreign event": {func(t testing.TB) {
			estest.Given[Plant](t).When(command(func(Plant) ([]es.Event, error) { return es.Facts(Eaten{}) }))
		}, "does not belong"},
		"foreign past": {func(t testing.TB) { estest.Given[Plant](t, Eaten{}) }, "does not belong"},
		"not stored whole": {func(t testing.TB) {
			estest.Given[Plant](t).When(command(func(Plant) ([]es.Event, error) { return es.Facts(Grown{By: 1, lost: 1}) }))
		}, "not stored whole"},
		"all events are folded": {func(t testing.TB) { estest.FoldsAll[Plant](t, catalog(t, es.Define[Grown](1), es.Define[Eaten](1))) }, ""},
		"one is forgotten":      {func(t testing.TB) { estest.FoldsAll[Plant](t, catalog(t, es.Define[Grown](1), es.Define[Watered](1))) }, "plant.watered"},
		"none is known":         {func(t testing.TB) { estest.FoldsAll[Plant](t, catalog(t, es.Define[Eaten](1))) }, "no event"},
	} {
		o := &observer{TB: t}
		func() {
			defer func() {
				if p := recover(); p != nil && p != any(o) {
					panic(p)
				}
			}()
			c.run(o)
		}()
		said := strings.Join(o.said, "\n")
		if (c.says == "") != (said == "") || !strings.Contains(said, c.says) {
			t.Errorf("%s: said %q, want %q", name, said, c.says)
		}
	}
}

func catalog(t testing.TB, d ...es.Definition) *es.Catalog {
	t.Helper()
	c, err := es.NewCatalog(d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
