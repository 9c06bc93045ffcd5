package checks

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

	"github.com/daybook-dev/daybook/kit/doctor"
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
type ledger struct {
	at            string // its URL
	before, after []charge
}

// read is called with the log read in between: whatever was charged before is known to it, if not to be found wrong, and whatever the
// log knows has been charged since.
func (l *ledger) read(ctx context.Context, r *doctor.Report) error {
	all, err := allCharges(ctx, l.at)
	if err != nil {
		return fmt.Errorf("reading the provider's ledger: %w", err)
	}
	l.before, l.after = l.after, all
	r.Checked["charges"] = len(all)
	return nil
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
func (b *books) compareLedger(l *ledger) {
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
			b.out.Find(doctor.Finding{
				Invariant: "I4", Stream: payments(c.OrderID), Row: "charge " + c.ID,
				Problem: fmt.Sprintf("attempt %d was charged twice", c.Attempt),
			}.Values("only "+before, c.ID))
		}
		charged[k] = c.ID
		b.known(c)
	}
	for _, key := range slices.Sorted(maps.Keys(b.orders)) {
		o := b.orders[key]
		for _, n := range o.numbers() {
			b.refers(o, n, byID)
		}
	}
}

func payments(key string) string { return es.StreamID{Category: "payment", Key: key}.String() }

// known holds a charge that was made to what the log says of its order.
func (b *books) known(c charge) {
	f := doctor.Finding{Invariant: "I4", Stream: payments(c.OrderID), Row: "charge " + c.ID}
	o := b.orders[c.OrderID]
	switch {
	case o == nil:
		f.Problem = "the provider knows a charge of an order that does not exist"
		b.out.Find(f.Values("none", c))
		return
	case !b.atRest(o):
		return // the log may still learn of it
	}
	a := o.attempts[c.Attempt]
	switch {
	case a == nil || !a.references[c.ID]:
		f.Problem = "the log does not know of this charge"
		b.out.Find(f.Values("none", c))
	case a.effect.String() != c.EffectID:
		f.Problem = "the charge names another effect than its intent"
		b.out.Find(f.Values(a.effect, c.EffectID))
	case a.held != c.Open:
		f.Problem = fmt.Sprintf("what is held for attempt %d", c.Attempt)
		b.out.Find(f.Values(money(a.held, c.Currency), c))
	case c.Captured != c.Refunded:
		f.Problem = "the provider has captured what the log does not know of"
		b.out.Find(f.Values(c.Refunded, c.Captured))
	}
}

// refers holds an attempt's references to the ledger, at any time: a charge that was reported stays there.
func (b *books) refers(o *order, n int, byID map[string]charge) {
	for reference := range o.attempts[n].references {
		f := doctor.Finding{Invariant: "I4", Stream: payments(o.key), Row: "charge " + reference}
		c, ok := byID[reference]
		switch {
		case !ok:
			f.Problem = fmt.Sprintf("attempt %d names a charge that the provider does not know", n)
		case c.OrderID != o.key || c.Attempt != n:
			f.Problem = "the charge is of another order or attempt"
			f = f.Values(fmt.Sprintf("%s, attempt %d", o.key, n), fmt.Sprintf("%s, attempt %d", c.OrderID, c.Attempt))
		case c.Currency != o.state.Placed.Currency:
			f.Problem = "the charge is in another currency"
			f = f.Values(o.state.Placed.Currency, c.Currency)
		default:
			continue
		}
		b.out.Find(f)
	}
}
