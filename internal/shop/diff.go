package shop

import (
	"context"

	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderdetails"
)

// Diff is an order at two moments.
type Diff struct{ From, To Order }

// OrderDiff returns an order at two moments, of one snapshot. A moment is a time, a revision, or the present. What the ask knows holds
// for both.
func (q *Queries) OrderDiff(ctx context.Context, ask query.Ask, id string, from, to query.Moment) (Answer[Diff], error) {
	if err := sound(ask); err != nil {
		return Answer[Diff]{}, err
	}
	for name, m := range map[string]*query.Moment{"from": &from, "to": &to} {
		if err := notAhead(name, m.AsOf); err != nil {
			return Answer[Diff]{}, err
		}
		if m.Revision != nil && ask.KnownAt != nil {
			return Answer[Diff]{}, Refuse("malformed_parameter", "a version and known_at cannot be asked together").At("known_at", "either", "is given beside a version")
		}
		m.KnownAt = ask.KnownAt
		if m.AsOf != nil { // the answer names what was known
			ask.AsOf = m.AsOf
		}
	}
	was, is, answer, err := q.details.Both(ctx, ask, id, from, to)
	if err != nil {
		return Answer[Diff]{}, err
	}
	var d Diff
	for _, one := range []struct {
		name string
		at   query.Moment
		row  *orderdetails.Detail
		into *Order
	}{{"from", from, was, &d.From}, {"to", to, is, &d.To}} {
		if one.row == nil {
			return Answer[Diff]{}, Refuse("not_found_at", "there is no order %s at %q", id, one.name).At(one.name, "absent", "is a moment at which there is no such order")
		}
		if *one.into, err = q.open(ctx, *one.row); err != nil {
			return Answer[Diff]{}, err
		}
	}
	return Answer[Diff]{d, answer}, nil
}
