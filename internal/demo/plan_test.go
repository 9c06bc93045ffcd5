package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/imports/onlineretail"
)

func history(t *testing.T, invoices int) *onlineretail.History {
	t.Helper()
	var b strings.Builder
	b.WriteString(onlineretail.Header + "\n")
	for i := range invoices {
		invoice := 536365 + i
		line := func(sku string, quantity int) {
			b.WriteString(strings.Join([]string{itoa(invoice), sku, "A " + sku, itoa(quantity), "2010-12-01 08:26:00", "2.55", "17850.0", "United Kingdom"}, ",") + "\n")
		}
		line("85123A", 6)
		line("85123A", 1) // repeats are kept
		if i%2 == 0 {
			line("22752", 2)
		}
	}
	h, err := onlineretail.Read(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPlan(t *testing.T) {
	h := history(t, 120)
	p := NewPlan(h, 100, "r1")
	if len(p.Orders) != 100 || p.Orders[3].ID != "demo-r1-536368" || len(p.Orders[0].Lines) != 3 || p.Orders[0].Lines[1] != (Line{"85123A", 1}) {
		t.Errorf("%d orders, the first %+v", len(p.Orders), p.Orders[0])
	}
	shares := map[string]int{}
	for _, o := range p.Orders {
		shares[o.Token]++
	}
	if shares[Approve] != 90 || shares[Decline] != 4 || shares[Slow] != 2 || shares[Silent] != 2 || shares[Late] != 2 {
		t.Errorf("tokens %v", shares)
	}
	needed, supply := 0, 0
	for _, a := range p.Articles {
		needed += a.Needed
		supply += a.Supply
		if a.Supply > a.Needed || a.Price != 255 || a.Name != "A "+a.SKU {
			t.Errorf("%+v", a)
		}
	}
	if needed != 800 || supply != 784 { // 2 % less, to the unit
		t.Errorf("%d of %d units", supply, needed)
	}
	if all := NewPlan(h, 1000, "r1"); len(all.Orders) != 120 {
		t.Errorf("%d orders of 120", len(all.Orders))
	}
}

func TestMeasured(t *testing.T) {
	var took []time.Duration
	for i := range 1000 {
		took = append(took, time.Duration(1000-i)*time.Millisecond)
	}
	if got := Measured(took); got != (Latencies{1000, 500, 990, 999, 1000}) {
		t.Errorf("%+v", got)
	}
	if got := Measured([]time.Duration{7 * time.Millisecond}); got != (Latencies{1, 7, 7, 7, 7}) {
		t.Errorf("%+v", got)
	}
	if got := Measured(nil); got != (Latencies{}) {
		t.Errorf("%+v", got)
	}
}
