// Package customers answers: who is this customer?
package customers

import (
	_ "embed"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Row is one customer. What is personal stays sealed.
type Row struct {
	Contact      Contact   `db:"contact"`
	Country      string    `db:"country"`
	Status       string    `db:"status"`
	Recorded     bool      `db:"recorded"`
	RegisteredAt time.Time `db:"registered_at"`
}

// Contact is how to reach a customer; what was not given is zero.
type Contact struct {
	Name  es.Sealed `json:"name,omitzero"`
	Email es.Sealed `json:"email,omitzero"`
	Phone es.Sealed `json:"phone,omitzero"`
}

//go:embed schema.sql
var schema string

// Projection keeps a row per customer. Bump Version to rebuild.
var Projection = projection.Table[Row]{
	Name: "customers", Version: 1, Stream: "customer", History: true, Schema: schema,
	On: []projection.Fold[Row]{
		projection.On(func(r *Row, e events.CustomerRegistered, at es.Recorded) {
			*r = Row{Contact{e.Name, e.Email, e.Phone}, e.Country, "active", e.Recorded, at.OccurredAt()}
		}),
	},
}
