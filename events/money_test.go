package events_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/daybook-dev/daybook/events"
	"pgregory.net/rapid"
)

func TestMoney(t *testing.T) {
	gbp := func(a int64) events.Money { return events.Money{Amount: a, Currency: "GBP"} }
	if _, err := gbp(1).Add(events.Money{Amount: 1, Currency: "EUR"}); !errors.Is(err, events.ErrMixedCurrencies) {
		t.Errorf("pounds and euros were added: %v", err)
	}
	if _, err := gbp(events.MaxAmount).Add(gbp(1)); !errors.Is(err, events.ErrAmountRange) {
		t.Errorf("more than 2^53-1: %v", err)
	}
	if _, err := gbp(1 << 40).Times(1 << 40); !errors.Is(err, events.ErrAmountRange) {
		t.Errorf("more than 2^53-1: %v", err)
	}
	if m, err := gbp(1299).Times(2); err != nil || m != gbp(2598) {
		t.Errorf("2 x 12.99: %v %v", m, err)
	}
	if m, err := gbp(5).Sub(gbp(7)); err != nil || m != gbp(-2) {
		t.Errorf("5 - 7: %v %v", m, err)
	}
	for m, want := range map[events.Money]string{
		gbp(2993): "29.93 GBP", gbp(-5): "-0.05 GBP", {Amount: 12, Currency: "JPY"}: "12 JPY", {Amount: 1234, Currency: "KWD"}: "1.234 KWD",
	} {
		if m.String() != want {
			t.Errorf("%s, want %s", m, want)
		}
	}
}

// TestTax compares with exact fractions: half up, included and added.
func TestTax(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, r := rapid.Int64Range(0, 1<<45).Draw(t, "amount"), rapid.Int64Range(0, 30000).Draw(t, "rate")
		if got, want := events.IncludedTax(a, r), half(a, r, 10000+r); got != want {
			t.Fatalf("tax in %d at %d: %d, want %d", a, r, got, want)
		}
		got, err := events.AddedTax(a, r)
		if want := half(a, r, 10000); err != nil || got != want {
			t.Fatalf("tax on %d at %d: %d %v, want %d", a, r, got, err, want)
		}
	})
	if _, err := events.AddedTax(events.MaxAmount, 1<<52); !errors.Is(err, events.ErrAmountRange) {
		t.Errorf("tax beyond all bounds: %v", err)
	}
}

// half gives ⌊a·b/c + ½⌋.
func half(a, b, c int64) int64 {
	n := new(big.Int).Mul(big.NewInt(2*a), big.NewInt(b))
	n.Add(n, big.NewInt(c))
	return n.Div(n, big.NewInt(2*c)).Int64()
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		amount        int64
		weights, want []int64
	}{
		{10, []int64{1, 1, 1}, nil}, // more than there is
		{2, []int64{1, 1, 1}, []int64{1, 1, 0}},
		{100, []int64{999, 1, 1000}, []int64{50, 0, 50}},
		{1, []int64{1, 0, 2}, []int64{0, 0, 1}},
		{0, []int64{0, 0}, []int64{0, 0}},
		{0, nil, []int64{}},
	} {
		got, err := events.Spread(c.amount, c.weights)
		if (err != nil) != (c.want == nil) {
			t.Errorf("spread %d over %v: %v", c.amount, c.weights, err)
		}
		for i := range c.want {
			if got[i] != c.want[i] {
				t.Errorf("spread %d over %v: %v, want %v", c.amount, c.weights, got, c.want)
				break
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Int64Range(0, 1<<44), 1, 20).Draw(t, "weights")
		var total int64
		for _, w := range weights {
			total += w
		}
		amount := rapid.Int64Range(0, total).Draw(t, "amount")
		parts, err := events.Spread(amount, weights)
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for i, p := range parts {
			sum += p
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(amount), big.NewInt(weights[i])), big.NewInt(max(total, 1)))
			off := new(big.Rat).Sub(new(big.Rat).SetInt64(p), exact)
			if p < 0 || p > weights[i] || off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 {
				t.Fatalf("part %d of %d over %v is %d", i, amount, weights, p)
			}
		}
		if sum != amount {
			t.Fatalf("%d over %v sums to %d", amount, weights, sum)
		}
	})
}

func TestUnitShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, q := rapid.Int64Range(0, 1<<50).Draw(t, "amount"), rapid.IntRange(1, 300).Draw(t, "quantity")
		var sum, least, most int64
		for k := range q {
			s := events.UnitShare(a, q, k)
			if k == 0 {
				least, most = s, s
			}
			sum, least, most = sum+s, min(least, s), max(most, s)
		}
		if sum != a || most-least > 1 {
			t.Fatalf("%d units of %d bear %d, %d to %d each", q, a, sum, least, most)
		}
	})
}
