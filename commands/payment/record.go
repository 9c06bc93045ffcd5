package payment

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Record is money received outside the provider, once per record id.
type Record struct {
	OrderID, RecordID string
	Amount            events.Money
	Method            string
}

func (Record) CommandType() string { return "payment.record" }
func (c Record) Key() string       { return c.OrderID }

func (c Record) Decide(p Payment) ([]es.Event, error) {
	before, known := p.Records[c.RecordID]
	sum, err := add(p.Captured, c.Amount)
	switch {
	case known && before == c.Amount:
		return es.Nothing()
	case known:
		return es.Reject(Differs, "record %s of %s is of %s, not %s", c.RecordID, c.OrderID, before, c.Amount)
	case c.Amount.Amount <= 0 || c.Amount.Currency == "" || c.RecordID == "":
		return es.Reject(Invalid, "a payment needs an id and an amount above 0")
	case err != nil:
		return es.Reject(Invalid, "payment of %s: %v", c.OrderID, err)
	case sum.Currency != p.currency(sum.Currency):
		return es.Reject(Invalid, "%s is paid in %s", c.OrderID, p.Total.Currency)
	}
	return es.Facts(events.PaymentRecorded{OrderID: c.OrderID, RecordID: c.RecordID, Amount: c.Amount, Method: c.Method})
}

// RecordRefund is money given back outside the provider, once per record id. Never more than was received there.
type RecordRefund struct {
	OrderID, RecordID string
	Amount            events.Money
	Method            string
}

func (RecordRefund) CommandType() string { return "payment.record_refund" }
func (c RecordRefund) Key() string       { return c.OrderID }

func (c RecordRefund) Decide(p Payment) ([]es.Event, error) {
	before, known := p.Refunds[c.RecordID]
	sum, err := add(p.Refunded, c.Amount)
	switch {
	case known && before == c.Amount:
		return es.Nothing()
	case known:
		return es.Reject(Differs, "refund %s of %s is of %s, not %s", c.RecordID, c.OrderID, before, c.Amount)
	case c.Amount.Amount <= 0 || c.Amount.Currency == "" || c.RecordID == "":
		return es.Reject(Invalid, "a refund needs an id and an amount above 0")
	case err != nil:
		return es.Reject(Invalid, "refund of %s: %v", c.OrderID, err)
	case sum.Currency != p.Captured.Currency || sum.Amount > p.Captured.Amount:
		return es.Reject(RefundExceeds, "%s received %s and would give back %s", c.OrderID, p.Captured, sum)
	}
	return es.Facts(events.PaymentRefundRecorded{OrderID: c.OrderID, RecordID: c.RecordID, Amount: c.Amount, Method: c.Method})
}

func (p Payment) currency(otherwise string) string {
	if p.Total.Currency == "" {
		return otherwise
	}
	return p.Total.Currency
}

// add is Money's, from nothing at all.
func add(sum, m events.Money) (events.Money, error) {
	if sum == (events.Money{}) {
		sum.Currency = m.Currency
	}
	return sum.Add(m)
}
