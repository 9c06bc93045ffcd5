package shop

import (
	"context"
	"errors"
	"testing"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderdetails"
)

// erasedAfter opens so many values, and then the key is destroyed.
type erasedAfter struct{ left int }

func (k *erasedAfter) Unseal(_ context.Context, s es.Sealed) (string, error) {
	if k.left--; k.left < 0 {
		return "", es.ErrErased
	}
	return string(s.Ciphertext), nil
}

// A buyer who is erased while two moments are compared is shown at neither, and no field that has only been hidden counts as changed.
func TestADifferenceAcrossAnErasure(t *testing.T) {
	t.Parallel()
	sealed := func(s string) es.Sealed { return es.Sealed{KeyID: "guest-o", Ciphertext: []byte(s)} }
	var was, is orderdetails.Detail
	was.Customer.Name, was.ShipTo.City = sealed("Ada"), sealed("London")
	is.Customer.Name, is.ShipTo.City, is.ShipTo.Line2 = sealed("Ada"), sealed("Leeds"), sealed("Flat 2")
	ada, london, leeds, flat, hidden := Text{Text: "Ada"}, Text{Text: "London"}, Text{Text: "Leeds"}, Text{Text: "Flat 2"}, Text{Withheld: true}
	for _, tt := range []struct {
		opened   int
		from, to [3]Text // name, city, second line
	}{
		{2, [3]Text{hidden, hidden}, [3]Text{hidden, hidden, hidden}}, // both values of the first order
		{3, [3]Text{ada, hidden}, [3]Text{ada, hidden, hidden}},
		{5, [3]Text{ada, london}, [3]Text{ada, leeds, flat}},
	} {
		q := &Queries{QueryConfig: QueryConfig{Keys: &erasedAfter{tt.opened}}}
		d, err := q.openBoth(t.Context(), was, is)
		of := func(o Order) [3]Text { return [3]Text{o.Contact.Name, o.Delivery.City, o.Delivery.Line2} }
		if err != nil || of(d.From) != tt.from || of(d.To) != tt.to || (d.To.Withheld == Erased) != (tt.opened < 5) {
			t.Errorf("erased after %d values were opened: %+v and %+v, withheld %q, %v", tt.opened, of(d.From), of(d.To), d.To.Withheld, err)
		}
	}
}

// absent is a read model without the order at some moments.
type absent struct{ query.View }

func (absent) Read(context.Context, query.Ask, func(context.Context, query.Snapshot) error) (query.Answer, error) {
	return query.Answer{}, nil
}

// What is missing is named: the order, or the moment at which it was not there.
func TestADifferenceOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	q := &Queries{details: orderdetails.Queries{View: absent{}}}
	first := query.Moment{Revision: new(uint64(0))}
	for _, tt := range []struct {
		to          query.Moment
		code, field string
	}{{query.Moment{}, "order_not_found", ""}, {first, "not_found_at", "from"}} {
		_, err := q.OrderDiff(t.Context(), query.Ask{}, "o", first, tt.to)
		r, ok := errors.AsType[*Refusal](err)
		if !ok || string(r.Code) != tt.code || (tt.field != "") != (len(r.Faults) == 1) || tt.field != "" && r.Faults[0].Field != tt.field {
			t.Errorf("to %+v: %v %+v", tt.to, err, r)
		}
	}
}
