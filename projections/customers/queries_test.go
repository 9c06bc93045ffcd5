package customers_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/viewtest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/customers"
)

func TestGet(t *testing.T) {
	var l viewtest.Log
	first := time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)
	email := es.Sealed{Subject: "customer-C-1", KeyID: "k", Stream: "customer-C-1", Type: "customer.registered", Field: "email", Ciphertext: []byte{1, 2}}
	last := l.Add(t, "customer-C-1", first, events.CustomerRegistered{CustomerID: "C-1", Email: email, Country: "GB"})
	q := customers.Queries{View: l.View(t, events.Catalog(), customers.Projection)}

	got, _, err := q.Get(t.Context(), query.Ask{MinPosition: last}, "C-1")
	want := &customers.Customer{
		ID: "C-1", Row: customers.Row{Contact: customers.Contact{Email: email}, Country: "GB", Status: "active", RegisteredAt: first},
		Stamp: projection.Stamp{Position: 1, ValidFrom: first, RecordedFrom: viewtest.Recorded(1)},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if got, _, err := q.Get(t.Context(), query.Ask{Moment: query.Moment{AsOf: new(first.Add(-time.Second))}}, "C-1"); err != nil || got != nil {
		t.Errorf("%v, %+v", err, got)
	}
}
