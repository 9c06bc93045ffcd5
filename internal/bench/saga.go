package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/daybook-dev/daybook/internal/demo"
)

// placed is an order as the API shows it.
type placed struct {
	ID, Status, Position string
	Total                int64
	Payment              struct {
		Status     string
		Authorised int64
	}
	Lines []struct {
		SKU      string
		Quantity int64
	}
}

const (
	buyers = 16 // that place orders and wait for their ends, to find out how many end in a second
	price  = 1250
)

func (b *bench) order(id string) (body []byte, total int64) {
	return fmt.Appendf(nil, `{"id":%q,"currency":"GBP","customer":{"email":"bo@example.com"},
		"ship_to":{"line1":"2 High Street","city":"London","postal_code":"N1 1AA","country":"GB"},"shipping_method":"standard",
		"lines":[{"sku":%q,"quantity":1},{"sku":%q,"quantity":2}],"payment":{"token":"tok_approve"}}`, id, b.any(), b.any()), 3 * price
}

// saga: orders driven to their ends, first as many as go, then at half that rate: how long each takes, and how long after its
// answer the read model shows it.
func (b *bench) saga(ctx context.Context) error {
	if err := b.startSystem(ctx); err != nil {
		return err
	}
	most := fmt.Sprintf("placed and ended, %d buyers", buyers)
	run := time.Now().UnixMilli()
	profiled := b.profile(ctx, "saga")
	err := b.turns(ctx, "saga", subject{name: most, workers: buyers, under: b.system.process(), op: func(ctx context.Context, w int) error {
		return b.toItsEnd(ctx, fmt.Sprintf("b%d-%d-%d", run, w, b.shop.keys.Add(1)))
	}})
	if err = errors.Join(err, profiled()); err != nil {
		return err
	}
	if _, err := b.rest(ctx); err != nil {
		return err
	}
	return b.halfLoad(ctx, b.out.Rows[len(b.out.Rows)-1].PerSecond/2)
}

// halfLoad places orders in an open loop. Latencies count from when an order was due, but for what is visible: that counts
// from the answer.
func (b *bench) halfLoad(ctx context.Context, rate float64) error {
	var posted, visible, ended gathered
	run := time.Now().UnixMilli()
	b.sayf("saga: half load, %.0f orders a second", rate)
	profiled := b.profile(ctx, "halfload")
	long := *b
	long.round = b.round * time.Duration(b.rounds)
	s, err := long.open(ctx, rate, b.system.process(), func(ctx context.Context, i int, due time.Time) error {
		id := fmt.Sprintf("h%d-%d", run, i)
		body, goods := b.order(id)
		var o placed
		position, err := b.shop.do(ctx, http.MethodPost, "/v1/orders", body, nil, "Idempotency-Key", id)
		if err != nil {
			return err
		}
		answered := time.Now()
		posted.add(answered.Sub(due))
		if _, err := b.shop.do(ctx, http.MethodGet, "/v1/orders/"+id+"?min_position="+position, nil, &o); err != nil {
			return err
		}
		visible.add(time.Since(answered))
		if o.ID != id || o.Total <= goods || len(o.Lines) != 2 {
			return fmt.Errorf("order %s is shown as %+v", id, o)
		}
		for o.Status == "placed" {
			if _, err := b.shop.do(ctx, http.MethodPost, "/v1/orders", body, &o, "Idempotency-Key", id, "Prefer", "wait=30"); err != nil {
				return err
			}
		}
		ended.add(time.Since(due))
		return o.right(id, goods)
	})
	if err = errors.Join(err, profiled()); err != nil {
		return err
	}
	post, end, shown := "POST, half load", "placed to ended, half load", "answered to visible, half load"
	b.out.Rows = append(b.out.Rows, rowOf("saga", post, s, &posted), rowOf("saga", end, s, &ended), rowOf("visible", shown, s, &visible))
	e, v := demo.Measured(ended.took), demo.Measured(visible.took)
	b.note(end, aim("p99 ≤ 500 ms", e.P99 <= 500))
	b.note(shown, aim("p50 ≤ 3 ms", v.P50 <= 3)+", "+aim("p99 ≤ 15 ms", v.P99 <= 15))
	return nil
}

func aim(what string, reached bool) string {
	if reached {
		return what + ": reached"
	}
	return what + ": MISSED"
}

// right holds an order that has ended to what it must be: there is enough of everything, and every card is good.
func (o placed) right(id string, goods int64) error {
	if o.ID != id || o.Status != "confirmed" || o.Total <= goods || o.Payment.Status != "authorised" || o.Payment.Authorised != o.Total {
		return fmt.Errorf("order %s ended as %+v", id, o)
	}
	return nil
}
