package shop

import (
	"context"
	"time"

	"github.com/daybook-dev/daybook/commands/customer"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// NewCustomer is the input of RegisterCustomer. A nil field was not given.
type NewCustomer struct {
	ID, Country        string
	Name, Email, Phone *string
}

// Customer is a customer with opened personal data.
type Customer struct {
	ID, Country, Status string
	Contact
	RegisteredAt *time.Time // nil in the result of a command
	Revision     int64
	Withheld     Withheld
}

// Contact is the name and addresses of a person.
type Contact struct{ Name, Email, Phone Text }

// RegisterCustomer registers a customer.
func (c *Commands) RegisterCustomer(ctx context.Context, r Request, in NewCustomer) (Done[Customer], error) {
	stream := streamOf("customer", in.ID)
	return run(ctx, c, r.call(stream.String()), in.ID, func(ctx context.Context) (es.Decision[customer.Customer], error) {
		seal := c.sealing(ctx, stream.String(), stream, "customer.registered")
		return customer.Register{
			CustomerID: in.ID, Name: seal.text("name", in.Name), Email: seal.text("email", in.Email), Phone: seal.text("phone", in.Phone), Country: in.Country,
		}, seal.err
	}, func(customer.Customer) Customer {
		return Customer{ID: in.ID, Country: in.Country, Status: "active", Contact: Contact{given(in.Name), given(in.Email), given(in.Phone)}}
	})
}

// Customer returns one customer.
func (q *Queries) Customer(ctx context.Context, ask query.Ask, id string) (Answer[Customer], error) {
	a, err := one(ctx, ask, id, q.customers.Get, "customer_not_found", "customer")
	if err != nil {
		return Answer[Customer]{}, err
	}
	open, row := q.opening(ctx), a.Shown
	shown := Customer{
		ID: row.ID, Country: row.Country, Status: row.Status, RegisteredAt: &row.RegisteredAt, Revision: row.Revision,
		Contact: Contact{open.text(row.Contact.Name), open.text(row.Contact.Email), open.text(row.Contact.Phone)},
	}
	shown.Withheld = open.why
	return Answer[Customer]{shown, a.Answer}, open.err
}
