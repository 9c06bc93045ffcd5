package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/daybook-dev/daybook/commands/lease"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// lost is what Postgres or Kafka still know of an order and the event store does not have any more.
type lost struct {
	Order  string   `json:"order"`
	Placed bool     `json:"placed"` // the order itself is lost, not only what came after
	Number string   `json:"number,omitempty"`
	Events []string `json:"events"` // types, in the order of the log
}

func (l lost) String() string {
	what := "lacks its last events"
	if l.Placed {
		what = "is lost"
	}
	return fmt.Sprintf("order %s %s: %s", l.Order, what, strings.Join(l.Events, ", "))
}

// losses are what the store lacks of what was acknowledged, as far as Postgres and Kafka still tell.
type losses struct {
	Orders []lost `json:"orders"`
	Others int    `json:"other_events"` // of products, stock, customers
	Number uint64 `json:"number"`       // the greatest number of an order that is known
}

// amend lists what is lost. Numbers that lost orders had are leased, so that none is given twice.
func amend(ctx context.Context, from runtime.Loss) (a runtime.Amends, err error) {
	l, err := findLosses(ctx, from)
	if err != nil {
		return a, fmt.Errorf("looking for what the event store has lost: %w", err)
	}
	a.Losses = l
	for _, o := range l.Orders {
		a.Lost = append(a.Lost, o.String())
	}
	if l.Others > 0 {
		a.Lost = append(a.Lost, fmt.Sprintf("%d events of products, stock and customers", l.Others))
	}
	if l.Number > 0 {
		a.Steps = []string{fmt.Sprintf("give no order a number up to %d again", l.Number)}
		a.Do = func(ctx context.Context, h *es.Handler) error { return passNumbers(ctx, h, l.Number) }
	}
	return a, nil
}

// trace is what is still known of a lost event.
type trace struct{ order, what, number string }

func findLosses(ctx context.Context, from runtime.Loss) (*losses, error) {
	known := map[uint64]trace{}
	if err := fromTimelines(ctx, from, known); err != nil {
		return nil, err
	}
	for _, r := range from.Events {
		if t, of := traceOf(r); of {
			known[r.Position] = t
		}
	}
	l := &losses{}
	orders := map[string]*lost{}
	for _, at := range slices.Sorted(maps.Keys(known)) {
		e := known[at]
		if e.order == "" {
			l.Others++
			continue
		}
		o := orders[e.order]
		if o == nil {
			o = &lost{Order: e.order}
			orders[e.order] = o
		}
		o.Events = append(o.Events, e.what)
		o.Placed = o.Placed || e.what == placed
		if e.number != "" {
			o.Number = e.number
		}
	}
	for _, key := range slices.Sorted(maps.Keys(orders)) {
		l.Orders = append(l.Orders, *orders[key])
	}
	var err error
	l.Number, err = greatestNumber(ctx, from, l.Orders)
	return l, err
}

var placed = events.OrderPlaced{}.EventType()

// traceOf passes over what the engines record.
func traceOf(r es.Record) (t trace, of bool) {
	t.what = r.Type
	switch r.Stream.Category {
	case "order", "payment":
		t.order = r.Stream.Key
	case "product", "stock", "customer":
	default:
		return t, false
	}
	if r.Type == placed {
		var said struct {
			Number string `json:"number"`
		}
		if json.Unmarshal(r.Data, &said) == nil {
			t.number = said.Number
		}
	}
	return t, true
}

func fromTimelines(ctx context.Context, from runtime.Loss, into map[uint64]trace) error {
	var at int64
	var t trace
	return from.Rows(ctx, "order_events", `select position, key, type from {order_events} where position > $1`,
		[]any{int64(from.After)}, []any{&at, &t.order, &t.what}, func() error { //nolint:gosec // below 2^63
			into[uint64(at)] = t //nolint:gosec // a position
			return nil
		})
}

// greatestNumber is of all orders that are known anywhere.
func greatestNumber(ctx context.Context, from runtime.Loss, orders []lost) (most uint64, err error) {
	note := func(number string) {
		if n, err := strconv.ParseUint(number, 10, 53); err == nil {
			most = max(most, n)
		}
	}
	for _, l := range orders {
		note(l.Number)
	}
	var number string
	err = from.Rows(ctx, "order_list", `select coalesce(max(number::numeric)::text, '') from {order_list} where number ~ '^[0-9]{1,15}$'`,
		nil, []any{&number}, func() error { note(number); return nil })
	return most, err
}

// passNumbers leases every number up to one that an order had: none is given twice, though its lease is lost.
func passNumbers(ctx context.Context, h *es.Handler, most uint64) error {
	l, err := es.Load[lease.Lease](ctx, h, lease.OrderNumber.Name, nil)
	if err != nil {
		return fmt.Errorf("read how far numbers are leased: %w", err)
	}
	from := max(l.State.To+1, lease.OrderNumber.First)
	if most < from {
		return nil
	}
	of := lease.OrderNumber
	of.Block = most - from + 1
	_, err = es.Handle(ctx, h, lease.Take{Range: of}, es.Call{Actor: es.Actor{ID: name, Kind: "service"}})
	if err != nil {
		return fmt.Errorf("pass over the numbers up to %d: %w", most, err)
	}
	return nil
}
