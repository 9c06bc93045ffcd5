package hotel

import "github.com/daybook-dev/daybook/kit/es"

// Limit is what a guest may spend.
const Limit = 500

// Purse knows what a guest has paid for each booking.
type Purse struct {
	Spent int
	Paid  map[string]int
}

func (*Purse) Category() string { return "purse" }

func (p *Purse) Evolve(e es.Event) {
	switch e := e.(type) {
	case PurseCharged:
		if p.Paid == nil {
			p.Paid = map[string]int{}
		}
		p.Spent, p.Paid[e.Booking] = p.Spent+e.Amount, e.Amount
	case PurseRefunded:
		p.Spent -= e.Amount
		delete(p.Paid, e.Booking)
	default:
		es.Unknown(e)
	}
}

// Charge pays for a booking.
type Charge struct {
	Guest, Booking string
	Amount         int
}

func (Charge) CommandType() string { return "purse.charge" }
func (c Charge) Key() string       { return c.Guest }

func (c Charge) Decide(p Purse) ([]es.Event, error) {
	switch {
	case p.Paid[c.Booking] > 0:
		return es.Nothing()
	case p.Spent+c.Amount > Limit:
		return es.Reject("purse_empty", "%s has %d left", c.Guest, Limit-p.Spent)
	}
	return es.Facts(PurseCharged{c.Booking, c.Amount})
}

// Refund gives back what was paid for a booking.
type Refund struct{ Guest, Booking string }

func (Refund) CommandType() string { return "purse.refund" }
func (c Refund) Key() string       { return c.Guest }

func (c Refund) Decide(p Purse) ([]es.Event, error) {
	if p.Paid[c.Booking] == 0 {
		return es.Nothing()
	}
	return es.Facts(PurseRefunded{c.Booking, p.Paid[c.Booking]})
}
