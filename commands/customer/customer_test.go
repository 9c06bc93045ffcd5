package customer_test

import (
	"testing"

	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/estest"
)

var given = estest.Given[customer.Customer]

func TestRegister(t *testing.T) {
	name := es.Sealed{Subject: "customer-C-1", Ciphertext: []byte("Ada")}
	c := customer.Register{CustomerID: "C-1", Name: name, Country: "GB"}
	registered := events.CustomerRegistered{CustomerID: "C-1", Name: name, Country: "GB"}
	given(t).When(c).Then(registered)
	given(t, registered).When(c).ThenRejected(customer.Exists)
	for _, bad := range []customer.Register{
		{}, {CustomerID: " C-1"}, {CustomerID: "C\u200b1"}, {CustomerID: "C-1", Country: "UK"}, {CustomerID: "C-1", Country: "XX"}, {CustomerID: "C-1", Country: "ZZ"},
		{CustomerID: "C-1", Country: "XX", Recorded: true},
	} {
		given(t).When(bad).ThenRejected(customer.Invalid)
	}
	elsewhere := customer.Register{CustomerID: "17851", Country: "XC", Recorded: true}
	given(t).When(elsewhere).Then(events.CustomerRegistered{CustomerID: "17851", Country: "XC", Recorded: true})

	recorded := customer.Register{CustomerID: "17850", Country: "GB", Recorded: true}
	given(t).When(recorded).Then(events.CustomerRegistered{CustomerID: "17850", Country: "GB", Recorded: true})
	given(t, events.CustomerRegistered{CustomerID: "17850", Country: "GB"}).When(recorded).ThenNothing()
	given(t, events.CustomerRegistered{CustomerID: "17850", Country: "FR"}).When(recorded).ThenRejected(customer.Differs)
}

func TestFoldsEveryEvent(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	estest.FoldsAll[customer.Customer](t, c)
}
