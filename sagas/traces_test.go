package sagas_test

import (
	"testing"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/kit/saga/sagatest"
	"github.com/daybook-dev/daybook/sagas"
)

// TestTraces tells each failure case of the sagas' tables in a file of its own, testdata/<saga>-<case>.txt.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	t.Run("placement", func(t *testing.T) {
		t.Parallel()
		sagatest.Run(t, sagas.Placement(sagas.Deadlines{}), c, 0, "testdata/placement-*.txt")
	})
	t.Run("cancellation", func(t *testing.T) {
		t.Parallel()
		sagatest.Run(t, sagas.Cancellation(), c, 2, "testdata/cancellation-*.txt")
	})
}

func catalog(tb testing.TB) *es.Catalog {
	tb.Helper()
	c, err := es.NewCatalog(events.Catalog(), machine.Catalog())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
