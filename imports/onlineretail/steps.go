package onlineretail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/kit/es"
)

// window is how many orders and returns are under way at once: as many may be incomplete when an import is broken off.
const window = 64

// step is an order or a return: what is recorded as a whole.
type step struct {
	at       time.Time
	order    string
	record   es.Decision[order.Order]
	receipts []asked[stock.Stock] // of SKUs that it is the first to need
	stock    []asked[stock.Stock]
	payment  es.Decision[payment.Payment]
	lines    []line // of the file
	isReturn bool
}

// steps are all orders and returns, in order of time.
func (h *History) steps() []step {
	list := map[string]int64{}
	for _, p := range h.Products {
		list[p.SKU] = p.Price
	}
	receipts := map[string]Receipt{}
	for _, r := range h.Receipts {
		receipts[r.SKU] = r
	}
	all := make([]step, 0, len(h.Orders)+len(h.Returns))
	for _, o := range h.Orders {
		s := step{at: o.At, order: o.Invoice, record: order.Record{Order: o.snapshot(list), At: o.At}, payment: o.payment(), stock: o.stock(), lines: o.source()}
		for _, l := range o.Lines {
			if r, first := receipts[l.SKU]; first {
				delete(receipts, l.SKU)
				s.receipts = append(s.receipts, asked[stock.Stock]{r.At, stock.Receive{SKU: r.SKU, ReceiptID: r.ID, Quantity: r.Quantity}, ""})
			}
		}
		all = append(all, s)
	}
	for _, r := range h.Returns {
		all = append(all, step{at: r.At, order: r.Order, record: r.record(), payment: r.payment(), stock: r.stock(), lines: r.source(), isReturn: true})
	}
	slices.SortStableFunc(all, func(a, b step) int { return cmp.Or(a.at.Compare(b.at)) }) // of equal times orders come first
	return all
}

func (s step) commands() int { return 2 + len(s.receipts) + len(s.stock) }

// steps records all of them, a window after the other.
func (im *Import) steps(ctx context.Context, all []step, standing map[string]stock.Stock) error {
	for part := range slices.Chunk(all, window) {
		if err := im.window(ctx, part, standing); err != nil {
			return err
		}
		for _, s := range part {
			if !s.isReturn {
				im.orders.Add(1)
			}
		}
	}
	return nil
}

// window records some steps: orders first, then their stock and money, those of one stream together.
func (im *Import) window(ctx context.Context, part []step, standing map[string]stock.Stock) error {
	records := byStream[order.Order]{}
	for _, s := range part {
		if im.isRecorded(s.order) {
			records.add(s.at, s.order, s.record)
		} else {
			im.skip(1)
		}
	}
	if err := send[order.Order](ctx, im, records, func(c asked[order.Order], err error) {
		if r, is := c.decision.(order.RecordReturned); is {
			im.refuse(refusal{order: c.order, returned: r.ReturnID, err: err})
		} else {
			im.refuse(refusal{order: c.order, err: err})
		}
	}); err != nil {
		return err
	}
	stocks, payments := byStream[stock.Stock]{}, byStream[payment.Payment]{}
	for _, s := range part {
		for _, c := range s.receipts {
			im.unlessStanding(stocks, c, standing)
		}
		if !im.recorded(s) {
			im.skip(len(s.stock) + 1)
			continue
		}
		for _, c := range s.stock {
			im.unlessStanding(stocks, c, standing)
		}
		payments.add(s.at, s.order, s.payment)
	}
	return errors.Join(
		send[stock.Stock](ctx, im, stocks, func(c asked[stock.Stock], err error) {
			im.note("stock of %s for order %s: %v", c.decision.Key(), cmp.Or(c.order, "all of them"), err)
		}),
		send[payment.Payment](ctx, im, payments, func(c asked[payment.Payment], err error) { im.note("payment of order %s: %v", c.order, err) }),
	)
}

// recorded tells whether a step's order, and its return, are recorded as the file has them.
func (im *Import) recorded(s step) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	if r, ok := s.record.(order.RecordReturned); ok && im.refused[refusalKey{s.order, r.ReturnID}] != nil {
		return false
	}
	return im.refused[refusalKey{s.order, ""}] == nil
}

// unlessStanding leaves out what an earlier run has been seen to record.
func (im *Import) unlessStanding(to byStream[stock.Stock], c asked[stock.Stock], standing map[string]stock.Stock) {
	s := standing[c.decision.Key()]
	has := false
	switch d := c.decision.(type) {
	case stock.Receive:
		has = s.Receipts[d.ReceiptID] == d.Quantity
	case stock.Reserve:
		has = s.Reservations[d.ReservationID].Quantity == d.Quantity
	case stock.Commit:
		has = s.Reservations[d.ReservationID].Committed == d.Quantity
	case stock.Restock:
		has = s.Restocks[d.RestockID] == d.Quantity
	}
	if has {
		im.skip(1)
		return
	}
	to.add(c.at, c.order, c.decision)
}

func (r refusal) key() refusalKey { return refusalKey{r.order, r.returned} }

// reason is the kind of a refusal, for the line's reject.
func (r refusal) reason() Reason {
	switch code := es.Rejected(r.err); {
	case code == order.Differs || code == order.ReturnDiffers:
		return OrderDiffers
	case errors.Is(r.err, es.ErrEventTooLarge), errors.Is(r.err, es.ErrTooLarge):
		return TooLarge
	}
	return Refused
}

func (r refusal) detail() string {
	if j, ok := errors.AsType[*es.Rejection](r.err); ok {
		return j.Message
	}
	return fmt.Sprint(r.err)
}
