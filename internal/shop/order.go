package shop

import (
	"context"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/orderlist"
)

// Order is an order with opened personal data: Contact of the buyer, Delivery of the address.
type Order struct {
	orderdetails.Detail

	Contact  Contact
	Delivery struct{ Name, Line1, Line2, City, Region, PostalCode Text }
	Withheld Withheld
}

// Order returns one order.
func (q *Queries) Order(ctx context.Context, ask query.Ask, id string) (Answer[Order], error) {
	a, err := one(ctx, ask, id, q.details.Get, "order_not_found", "order")
	if err != nil {
		return Answer[Order]{}, err
	}
	shown, err := q.open(ctx, a.Shown)
	return Answer[Order]{shown, a.Answer}, err
}

// fold returns an order from its own stream, without the read model.
func (q *Queries) fold(ctx context.Context, stream []es.Recorded) (Order, error) {
	d, err := orderdetails.Fold(stream)
	if err != nil {
		return Order{}, err
	}
	return q.open(ctx, d)
}

func (q *Queries) open(ctx context.Context, d orderdetails.Detail) (Order, error) {
	open := q.opening(ctx)
	c, a := d.Customer, d.ShipTo
	o := Order{Detail: d, Contact: Contact{open.text(c.Name), open.text(c.Email), open.text(c.Phone)}}
	o.Delivery.Name, o.Delivery.Line1, o.Delivery.Line2 = open.text(a.Name), open.text(a.Line1), open.text(a.Line2)
	o.Delivery.City, o.Delivery.Region, o.Delivery.PostalCode = open.text(a.City), open.text(a.Region), open.text(a.PostalCode)
	o.Withheld = open.why
	return o, open.err
}

// Orders lists orders, newest first.
func (q *Queries) Orders(ctx context.Context, ask query.Ask, f orderlist.Filter, page Page) (List[orderlist.Item], error) {
	filter := "orders/" + f.Status + "/" + f.CustomerID + "/" + f.Country
	return list(ask, page, filter, 2, func(after []string, limit int) ([]orderlist.Item, []string, query.Answer, error) {
		var from *orderlist.Cursor
		if after != nil {
			at, err := time.Parse(time.RFC3339Nano, after[0])
			if err != nil {
				return nil, nil, query.Answer{}, badCursor()
			}
			from = &orderlist.Cursor{PlacedAt: at, Key: after[1]}
		}
		rows, answer, err := q.list.List(ctx, ask, f, from, limit)
		if rows.Next == nil {
			return rows.Items, nil, answer, err
		}
		return rows.Items, []string{rows.Next.PlacedAt.Format(time.RFC3339Nano), rows.Next.Key}, answer, err
	})
}
