package app

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/lease"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// What is lost is listed by order, from the topic and from the timelines, and no number that a lost order had is given out again.
func TestNumbersOfLostOrdersAreNotGivenAgain(t *testing.T) {
	t.Parallel()
	record := func(position uint64, category, key, typ, data string) es.Record {
		return es.Record{Stream: es.StreamID{Category: category, Key: key}, Position: position, Type: typ, Data: []byte(data)}
	}
	rows := map[string][][]any{
		"order_events": {{int64(12), "b", "order.placed"}, {int64(13), "a", "payment.authorised"}},
		"order_list":   {{"1001500"}},
	}
	a, err := amend(t.Context(), runtime.Loss{
		After: 10,
		Events: []es.Record{
			record(11, "order", "a", "order.placed", `{"number":"1001700"}`), record(13, "payment", "a", "payment.authorised", `{}`),
			record(14, "stock", "A", "stock.reserved", `{}`), record(15, "deployment", "x", "deployment.began", `{}`),
		},
		Rows: func(_ context.Context, readModel, sql string, args, into []any, each func() error) error {
			if readModel == "order_events" && args[0] != int64(10) || !strings.Contains(sql, "{"+readModel+"}") {
				return fmt.Errorf("asked %s for %v", sql, args)
			}
			for _, row := range rows[readModel] {
				for i, value := range row {
					reflect.ValueOf(into[i]).Elem().Set(reflect.ValueOf(value))
				}
				if err := each(); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{
		"order a is lost: order.placed, payment.authorised", "order b is lost: order.placed", "1 events of products, stock and customers",
	}
	if !slices.Equal(a.Lost, lines) || !slices.Equal(a.Steps, []string{"give no order a number up to 1001700 again"}) {
		t.Errorf("lost %q, steps %q", a.Lost, a.Steps)
	}
	catalog, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	h := es.NewHandler(memory.New(), catalog, time.Now)
	for range 2 { // a recovery that was killed is done again
		if err := a.Do(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := lease.NewNumbers(h, lease.OrderNumber).Next(t.Context()); err != nil || n != 1001701 {
		t.Errorf("the next number is %v, %v", n, err)
	}
}
