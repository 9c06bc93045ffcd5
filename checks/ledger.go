package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// charge is a charge as the simulator's ledger shows it (GET /simulator/v1/charges).
type charge struct {
	ID         string `json:"id"`
	OrderID    string `json:"order_id"`
	EffectID   string `json:"effect_id"`
	Attempt    int    `json:"attempt"`
	Status     string `json:"status"`
	Currency   string `json:"currency"`
	Authorised int64  `json:"authorised"`
	Captured   int64  `json:"captured"`
	Refunded   int64  `json:"refunded"`
	Open       int64  `json:"open"`
}

func (c charge) String() string {
	return fmt.Sprintf("%s, holding %s", c.Status, money(c.Open, c.Currency))
}

const pageOfCharges = 1000

// ledger is what the provider says, once before the log was read for the last time and once after.
type ledger struct{ before, after []charge }

// readLedger reads the provider's ledger with the log in between: whatever was charged before the log was read is known to
// it, if not to be found wrong, and whatever the log knows has been charged since.
func readLedger(ctx context.Context, cfg Config, h *history) (l ledger, err error) {
	if cfg.Provider == "" {
		h.out.skipf("the provider's ledger: no address of a simulator")
		return l, nil
	}
	if l.before, err = allCharges(ctx, cfg.Provider); err != nil {
		return l, err
	}
	end := h.end
	if err := h.read(ctx); err != nil {
		return l, err
	}
	if h.end > end {
		h.moved()
	}
	l.after, err = allCharges(ctx, cfg.Provider)
	h.out.Checked["charges"] = len(l.after)
	return l, err
}

// moved says that the log has grown since everything seemed to be at rest.
func (h *history) moved() {
	h.out.AtRest = false
	h.out.Moving = listed(h.out.Moving, "the log has grown while it was looked at")
}

func allCharges(ctx context.Context, base string) (all []charge, err error) {
	for after := ""; ; after = all[len(all)-1].ID {
		page, err := charges(ctx, base, after)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < pageOfCharges {
			return all, nil
		}
	}
}

func charges(ctx context.Context, base, after string) ([]charge, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	q := url.Values{"limit": {strconv.Itoa(pageOfCharges)}}
	if after != "" {
		q.Set("after", after)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/simulator/v1/charges?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var page struct {
		Charges []charge `json:"charges"`
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", res.Status)
	}
	return page.Charges, json.NewDecoder(res.Body).Decode(&page)
}

// compareLedger is the provider's side of I4, both ways. A charge that changed while the log was read is left to the next
// time.
func (h *history) compareLedger(l ledger) {
	byID := map[string]charge{}
	for _, c := range l.after {
		byID[c.ID] = c
	}
	type once struct {
		order   string
		attempt int
	}
	charged := map[once]string{}
	for _, c := range l.before {
		if c.Authorised == 0 || byID[c.ID] != c {
			continue
		}
		k := once{c.OrderID, c.Attempt}
		if before := charged[k]; before != "" {
			h.out.find(Finding{
				Invariant: "I4", Stream: payments(c.OrderID), Row: "charge " + c.ID,
				Problem: fmt.Sprintf("attempt %d was charged twice", c.Attempt),
			}.values("only "+before, c.ID))
		}
		charged[k] = c.ID
		h.known(c)
	}
	for _, key := range slices.Sorted(maps.Keys(h.orders)) {
		o := h.orders[key]
		for _, n := range o.numbers() {
			h.refers(o, n, byID)
		}
	}
}

func payments(key string) string { return es.StreamID{Category: "payment", Key: key}.String() }

// known holds a charge that was made to what the log says of its order.
func (h *history) known(c charge) {
	f := Finding{Invariant: "I4", Stream: payments(c.OrderID), Row: "charge " + c.ID}
	o := h.orders[c.OrderID]
	switch {
	case o == nil:
		f.Problem = "the provider knows a charge of an order that does not exist"
		h.out.find(f.values("none", c))
		return
	case !h.atRest(o):
		return // the log may still learn of it
	}
	a := o.attempts[c.Attempt]
	switch {
	case a == nil || !a.references[c.ID]:
		f.Problem = "the log does not know of this charge"
		h.out.find(f.values("none", c))
	case a.effect.String() != c.EffectID:
		f.Problem = "the charge names another effect than its intent"
		h.out.find(f.values(a.effect, c.EffectID))
	case a.held != c.Open:
		f.Problem = fmt.Sprintf("what is held for attempt %d", c.Attempt)
		h.out.find(f.values(money(a.held, c.Currency), c))
	case c.Captured != c.Refunded:
		f.Problem = "the provider has captured what the log does not know of"
		h.out.find(f.values(c.Refunded, c.Captured))
	}
}

// refers holds an attempt's references to the ledger, at any time: a charge that was reported stays there.
func (h *history) refers(o *order, n int, byID map[string]charge) {
	for reference := range o.attempts[n].references {
		f := Finding{Invariant: "I4", Stream: payments(o.key), Row: "charge " + reference}
		c, ok := byID[reference]
		switch {
		case !ok:
			f.Problem = fmt.Sprintf("attempt %d names a charge that the provider does not know", n)
		case c.OrderID != o.key || c.Attempt != n:
			f.Problem = "the charge is of another order or attempt"
			f = f.values(fmt.Sprintf("%s, attempt %d", o.key, n), fmt.Sprintf("%s, attempt %d", c.OrderID, c.Attempt))
		case c.Currency != o.state.Placed.Currency:
			f.Problem = "the charge is in another currency"
			f = f.values(o.state.Placed.Currency, c.Currency)
		default:
			continue
		}
		h.out.find(f)
	}
}
