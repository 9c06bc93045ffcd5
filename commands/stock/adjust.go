package stock

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Adjust corrects what is on hand by a count. It alone may leave more reserved than there is, and says so.
type Adjust struct {
	SKU    string
	Change int
}

func (Adjust) CommandType() string { return "stock.adjust" }
func (c Adjust) Key() string       { return c.SKU }

func (c Adjust) Decide(s Stock) ([]es.Event, error) {
	switch {
	case c.Change == 0 || s.tooMany(c.Change):
		return es.Reject(Invalid, "an adjustment of %s needs a change that can be counted", c.SKU)
	case c.Change < -s.OnHand:
		return es.Reject(NotEnough, "there are only %d of %s", s.OnHand, c.SKU)
	}
	onHand := s.OnHand + c.Change
	facts := []es.Event{events.StockAdjusted{SKU: c.SKU, Location: events.MainLocation, Change: c.Change, OnHand: onHand}}
	if short := s.Reserved - onHand; short > 0 {
		facts = append(facts, events.StockShortfallDetected{SKU: c.SKU, Location: events.MainLocation, Short: short})
	}
	return es.Facts(facts...)
}

// WriteOff takes broken or lost units off the shelf. Promised ones are not touched.
type WriteOff struct {
	SKU      string
	Quantity int
}

func (WriteOff) CommandType() string { return "stock.write_off" }
func (c WriteOff) Key() string       { return c.SKU }

func (c WriteOff) Decide(s Stock) ([]es.Event, error) {
	switch {
	case c.Quantity <= 0:
		return es.Reject(Invalid, "a write-off of %s needs a quantity above 0", c.SKU)
	case s.OnHand-s.Reserved < c.Quantity:
		return es.Reject(NotEnough, "only %d of %s are not promised", max(s.OnHand-s.Reserved, 0), c.SKU)
	}
	return es.Facts(events.StockWrittenOff{SKU: c.SKU, Location: events.MainLocation, Quantity: c.Quantity})
}

// SetPolicy says how many units are never promised.
type SetPolicy struct {
	SKU    string
	Safety int
}

func (SetPolicy) CommandType() string { return "stock.set_policy" }
func (c SetPolicy) Key() string       { return c.SKU }

func (c SetPolicy) Decide(s Stock) ([]es.Event, error) {
	switch {
	case c.Safety < 0 || c.Safety > events.MaxAmount:
		return es.Reject(Invalid, "safety stock of %s is a count", c.SKU)
	case c.Safety == s.Safety:
		return es.Nothing()
	}
	return es.Facts(events.StockPolicySet{SKU: c.SKU, Location: events.MainLocation, Safety: c.Safety})
}
