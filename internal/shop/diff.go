package shop

import (
	"context"

	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderdetails"
)

// Diff is an order at two moments. A personal field that cannot be shown at one of them is withheld at both.
type Diff struct{ From, To Order }

// OrderDiff returns an order at two moments, of one snapshot. A moment is a time, a revision, or the present. KnownAt of the ask holds for
// both.
func (q *Queries) OrderDiff(ctx context.Context, ask query.Ask, id string, from, to query.Moment) (Answer[Diff], error) {
	if err := sound(ask); err != nil {
		return Answer[Diff]{}, err
	}
	for _, one := range []struct {
		name   string
		moment *query.Moment
	}{{"from", &from}, {"to", &to}} {
		m := one.moment
		if err := notAhead(one.name, m.AsOf); err != nil {
			return Answer[Diff]{}, err
		}
		if m.Revision != nil && ask.KnownAt != nil {
			return Answer[Diff]{}, Refuse("malformed_parameter", "a version and known_at cannot be asked together").At("known_at", "either", "is given beside a version")
		}
		m.KnownAt = ask.KnownAt
		if m.AsOf != nil { // so the answer says what was known
			ask.AsOf = m.AsOf
		}
	}
	was, is, answer, err := q.details.Both(ctx, ask, id, from, to)
	switch {
	case err != nil:
		return Answer[Diff]{}, err
	case is == nil && !to.Past():
		return Answer[Diff]{}, notFound(query.Ask{}, "order_not_found", "order", id)
	case was == nil:
		return Answer[Diff]{}, notFoundAt("from", id)
	case is == nil:
		return Answer[Diff]{}, notFoundAt("to", id)
	}
	d, err := q.openBoth(ctx, *was, *is)
	return Answer[Diff]{d, answer}, err
}

func notFoundAt(name, id string) *Refusal {
	return Refuse("not_found_at", "there is no order %s at the moment given by %s", id, name).At(name, "absent", "is a moment at which there is no such order")
}

// openBoth opens both orders. If the key is destroyed meanwhile, a field that can be opened in one of them only is shown in neither.
func (q *Queries) openBoth(ctx context.Context, was, is orderdetails.Detail) (d Diff, err error) {
	if d.From, err = q.open(ctx, was); err != nil {
		return Diff{}, err
	}
	if d.To, err = q.open(ctx, is); err != nil {
		return Diff{}, err
	}
	after := d.To.personal()
	for i, before := range d.From.personal() {
		if before.Withheld || after[i].Withheld {
			before.withhold()
			after[i].withhold()
		}
	}
	return d, nil
}

// personal are the fields that were sealed.
func (o *Order) personal() []*Text {
	c, a := &o.Contact, &o.Delivery
	return []*Text{&c.Name, &c.Email, &c.Phone, &a.Name, &a.Line1, &a.Line2, &a.City, &a.Region, &a.PostalCode}
}

// withhold hides a value that was given.
func (t *Text) withhold() {
	if *t != (Text{}) {
		*t = Text{Withheld: true}
	}
}
