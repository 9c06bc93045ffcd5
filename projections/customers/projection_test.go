package customers_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
	"github.com/daybook-dev/daybook/projections/customers"
)

func TestCustomers(t *testing.T) {
	name := es.Sealed{Subject: "customer-C-1", Ciphertext: []byte("Ada")}
	rows := projectiontest.Given(t, customers.Projection,
		projectiontest.Past("customer-C-1", events.CustomerRegistered{CustomerID: "C-1", Name: name, Country: "GB", Recorded: true}))
	rows.ThenRow("C-1", customers.Row{
		Contact: customers.Contact{Name: name}, Country: "GB", Status: "active", Recorded: true, RegisteredAt: time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC),
	})
}
