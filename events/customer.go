package events

import "github.com/daybook-dev/daybook/kit/es"

// CustomerRegistered opens a customer's record. Personal fields are sealed under the customer's key, zero where not
// given; the country stays clear.
type CustomerRegistered struct {
	CustomerID string    `json:"customer_id"`
	Name       es.Sealed `json:"name,omitzero"`
	Email      es.Sealed `json:"email,omitzero"`
	Phone      es.Sealed `json:"phone,omitzero"`
	Country    string    `json:"country,omitempty"` // ISO 3166 alpha-2
	Recorded   bool      `json:"recorded,omitempty"`
}

func (CustomerRegistered) EventType() string { return "customer.registered" }
