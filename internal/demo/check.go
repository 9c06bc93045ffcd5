package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// findings are what is wrong, each named by its invariant where it has one.
type findings struct {
	mu   sync.Mutex
	list []string
}

func (f *findings) addf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

// check reads every order and every shelf once more, no older than the last answer, and holds them to what must be.
func (r *run) check(ctx context.Context, found *findings) error {
	var position uint64
	for _, f := range r.fates {
		position = max(position, f.position)
	}
	sold := make([]int64, len(r.cfg.Plan.Articles))
	at := map[string]int{}
	for i, a := range r.cfg.Plan.Articles {
		at[a.SKU] = i
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(preparing)
	for i, f := range r.fates {
		o := r.cfg.Plan.Orders[i]
		if f.err != nil {
			found.addf("%v", f.err)
			continue
		}
		if f.order.Status == "confirmed" {
			for _, l := range o.Lines {
				sold[at[l.SKU]] += int64(l.Quantity)
			}
		}
		g.Go(func() error {
			a, err := r.client.insist(ctx, http.MethodGet, "/v1/orders/"+o.ID+"?min_position="+strconv.FormatUint(position, 10), nil)
			if err != nil {
				return err
			}
			var now shown
			if err := a.into(&now); err != nil {
				return err
			}
			if now.Status != f.order.Status {
				found.addf("I6: order %s had ended %s, and is %s now", o.ID, f.order.Status, now.Status)
			}
			r.checkOrder(o, now, found)
			return nil
		})
	}
	if !r.cfg.Shared && !r.resumed.Load() && !r.failed() {
		for i, a := range r.cfg.Plan.Articles {
			g.Go(func() error {
				now, err := r.level(ctx, a.SKU, position)
				start := r.shelves[a.SKU].start
				if err == nil && (now.OnHand != start.OnHand || now.Reserved != start.Reserved+sold[i]) {
					found.addf("I5: %s began with %d on hand and %d reserved; %d were sold, and there are %d and %d",
						a.SKU, start.OnHand, start.Reserved, sold[i], now.OnHand, now.Reserved)
				}
				return err
			})
		}
	}
	return g.Wait()
}

// failed: what became of some order is not known, so nor is what it holds.
func (r *run) failed() bool {
	for _, f := range r.fates {
		if f.err != nil {
			return true
		}
	}
	return false
}

// checkOrder holds an order to its token, to I4, and its refusal to the truth.
func (r *run) checkOrder(o Order, now shown, found *findings) {
	var held int64
	payments := []string{"authorised"}
	switch code := now.code(); {
	case now.Status == "confirmed" && o.Token != Decline:
		held = now.Total
	case code == "payment_declined" && o.Token == Decline:
		payments = []string{"declined"}
	case code == "out_of_stock":
		payments = []string{"none"}
		r.checkShort(o, now, found)
	default:
		found.addf("order %s with %s ended %s %s", o.ID, o.Token, now.Status, code)
		return
	}
	if got := now.Payment.Authorised + now.Payment.Captured - now.Payment.Refunded; got != held {
		found.addf("I4: order %s is %s, and %d are held of its %d", o.ID, now.Status, got, now.Total)
	}
	if now.Payment.Status != payments[0] {
		found.addf("I4: order %s is %s, its payment %s", o.ID, now.Status, now.Payment.Status)
	}
	if now.Goods+now.Shipping != now.Total {
		found.addf("order %s: %d and %d are not %d", o.ID, now.Goods, now.Shipping, now.Total)
	}
}

func (s shown) code() string {
	if s.Rejection == nil {
		return ""
	}
	return s.Rejection.Code
}

// checkShort: no order is refused for a SKU of which there is enough for all.
func (r *run) checkShort(o Order, now shown, found *findings) {
	if len(now.Rejection.Lines) == 0 {
		found.addf("I5: order %s was refused for want of nothing", o.ID)
	}
	for _, l := range now.Rejection.Lines {
		s := r.shelves[l.SKU]
		switch {
		case l.Requested <= l.Available:
			found.addf("I5: order %s was refused %d of %s, of which there were %d", o.ID, l.Requested, l.SKU, l.Available)
		case s == nil:
			found.addf("I5: order %s was refused %s, which it had not asked for", o.ID, l.SKU)
		case !r.cfg.Shared && !r.resumed.Load() && int64(s.article.Needed) <= s.start.Available:
			found.addf("I5: order %s was refused %d of %s: there were %d at first, and all orders want %d", o.ID, l.Requested, l.SKU, s.start.Available, s.article.Needed)
		}
	}
}

// quoted is a string as JSON has it.
func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // a string
		panic(err)
	}
	return b
}
