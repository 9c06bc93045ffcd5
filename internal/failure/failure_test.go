package failure_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
)

func TestAFailureKeepsItsIdentityThroughWhatWrapsIt(t *testing.T) {
	t.Parallel()
	cause := errors.New("too large")
	record := es.Record{Position: 9, Stream: es.StreamID{Category: "order", Key: "o1"}, Revision: 3, Type: "order.placed"}
	made := fmt.Errorf("apply 7 events: %w", failure.At(failure.Who{Kind: "read model", Name: "sales", Build: 4}, record, "o1", cause))
	e, ok := failure.Of(made)
	if !ok || e.Position != 9 || e.Stream != record.Stream || e.Revision != 3 || e.Type != "order.placed" || e.Row != "o1" || e.Who.Build != 4 || !errors.Is(made, cause) {
		t.Errorf("found %+v, %v", e, ok)
	}
	if want := "apply 7 events: read model sales (build 4) fails at order.placed (order-o1@3) at position 9, row o1: too large"; made.Error() != want {
		t.Errorf("says %q, want %q", made, want)
	}
	if failure.IsOutage(made) {
		t.Error("it is taken for an outage")
	}
	away := fmt.Errorf("writing: %w", &failure.Outage{Server: "Postgres", Err: cause})
	if _, ok := failure.Of(away); ok || !failure.IsOutage(away) {
		t.Errorf("%v is no outage", away)
	}
}
