// Package customer decides on customers' records.
package customer

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	Invalid es.Code = "customer_invalid"
	Exists  es.Code = "customer_exists"
	Differs es.Code = "customer_differs" // it is recorded with other content
)

// Customer is what decisions about a customer need to know.
type Customer struct {
	Registered bool
	Country    string
}

func (*Customer) Category() string { return "customer" }

func (c *Customer) Evolve(e es.Event) {
	switch e := e.(type) {
	case events.CustomerRegistered:
		c.Registered, c.Country = true, e.Country
	default:
		es.Unknown(e)
	}
}
