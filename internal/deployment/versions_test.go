package deployment

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

type paid struct{}

func (paid) EventType() string { return "payment.paid" }

type sent struct{}

func (sent) EventType() string { return "parcel.sent" }

// program is one with some version of an event, perhaps a second event, and a saga.
func program(t *testing.T, version, saga int, more ...es.Definition) (*es.Catalog, Versions) {
	t.Helper()
	var older []es.Upcaster[paid]
	for v := 1; v < version; v++ {
		older = append(older, es.Upcast(v, func(p paid) paid { return p }))
	}
	c, err := es.NewCatalog(Catalog(), []es.Definition{es.Define[paid](version, older...)}, more)
	if err != nil {
		t.Fatal(err)
	}
	return c, VersionsOf(c, map[string]int{"billing": saga})
}

// A program that is older than one that ran refuses, naming the version it needs and what it lacks; a newer one states its own. What
// is stated never falls.
func TestVersionsOnlyGrow(t *testing.T) {
	store := memory.New()
	one, v1 := program(t, 1, 1)
	two, v2 := program(t, 2, 1, es.Define[sent](1))
	three, v3 := program(t, 2, 2, es.Define[sent](1))
	raise := func(c *es.Catalog, name string, v Versions) error { return Raise(t.Context(), store, c, name, v) }
	for range 2 {
		if err := raise(one, "1.0.0", v1); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(store.All(0)); n != 1 {
		t.Errorf("%d events after two starts of one program", n)
	}
	refused := func(err error, says ...string) {
		t.Helper()
		older, is := errors.AsType[*OlderError](err)
		for _, s := range append(says, "docs/upgrading.md") {
			if !is || !strings.Contains(older.Error(), s) {
				t.Errorf("%v does not say %q", err, s)
			}
		}
	}
	if err := errors.Join(raise(two, "2.0.0", v2), Check(t.Context(), store, v2), Check(t.Context(), store, v3)); err != nil {
		t.Fatal(err)
	}
	refused(raise(one, "1.0.0", v1), "daybook 2.0.0 or a newer one", "payment.paid version 2 (up to 1 here)", "parcel.sent version 1 (unknown here)")
	refused(Check(t.Context(), store, v1), "daybook 2.0.0")
	if err := raise(three, "3.0.0", v3); err != nil {
		t.Fatal(err)
	}
	refused(raise(two, "2.0.0", v2), "daybook 3.0.0", "saga billing version 2 (up to 1 here)")
	refused(raise(one, "1.0.0", v1), "daybook 3.0.0", "payment.paid version 2")
	if n := len(store.All(0)); n != 3 {
		t.Errorf("%d events are recorded, want one per program", n)
	}
	v1.Of, v2.Of = "hotel", "hotel" // of another domain, for itself
	if err := raise(two, "2.0.0", v2); err != nil {
		t.Fatal(err)
	}
	refused(Check(t.Context(), store, v1), "hotel 2.0.0 or a newer one")
}

// What an unreleased build wrote is not said to need a newer program: the build may be older than this one.
func TestEventsOfUnreleasedBuilds(t *testing.T) {
	t.Parallel()
	one, v1 := program(t, 1, 1)
	two, v2 := program(t, 1, 1, es.Define[sent](1))
	for _, build := range []string{"d0f948a", "v0.1.0-5-gd0f948a", "0.1.0-dirty", "dev", ""} {
		store := memory.New()
		if err := Raise(t.Context(), store, two, build, v2); err != nil {
			t.Fatal(err)
		}
		err := Raise(t.Context(), store, one, "1.0.0", v1)
		if want := "written by an unreleased build (" + cmp.Or(build, "without a version") + ") whose events this one does not know: parcel.sent version 1 (unknown here)"; err == nil ||
			!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "newer") {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// Programs of two versions start at once, each several times: the newer ones always start, an older one that does start was first,
// and afterwards none does.
func TestMixedVersionsStartAtOnce(t *testing.T) {
	for range 50 {
		store := memory.New()
		old, v1 := program(t, 1, 1)
		young, v2 := program(t, 2, 2)
		var wg sync.WaitGroup
		failed := make(chan error, 8)
		for i := range 8 {
			wg.Go(func() {
				if i%2 == 0 {
					if err := Raise(t.Context(), store, young, "2.0.0", v2); err != nil {
						failed <- err
					}
					return
				}
				err := Raise(t.Context(), store, old, "1.0.0", v1)
				if _, older := errors.AsType[*OlderError](err); err != nil && !older {
					failed <- fmt.Errorf("older program: %w", err)
				}
			})
		}
		wg.Wait()
		close(failed)
		for err := range failed {
			t.Error(err)
		}
		if err := Check(t.Context(), store, v2); err != nil {
			t.Error(err)
		}
		if err := Check(t.Context(), store, v1); err == nil {
			t.Error("an older program starts after a newer one")
		}
	}
}
