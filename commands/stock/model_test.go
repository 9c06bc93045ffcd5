package stock_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/modeltest"
	"github.com/daybook-dev/daybook/kit/es"
)

// ledger counts what the events say, as an auditor would: by adding up, knowing nothing of reservations' states.
type ledger struct {
	received, adjusted, restocked, committed, writtenOff int
	open                                                 map[string]int
	adjustedShort                                        bool
}

func (l *ledger) add(t *rapid.T, e es.Event) {
	switch e := e.(type) {
	case events.StockReceived:
		l.received += e.Quantity
	case events.StockAdjusted:
		l.adjusted += e.Change
		if e.OnHand != l.onHand() {
			t.Fatalf("adjusted says %d on hand, there are %d", e.OnHand, l.onHand())
		}
	case events.StockShortfallDetected:
		l.adjustedShort = true
		if e.Short != l.reserved()-l.onHand() {
			t.Fatalf("short of %d, not %d", l.reserved()-l.onHand(), e.Short)
		}
	case events.StockRestocked:
		l.restocked += e.Quantity
	case events.StockWrittenOff:
		l.writtenOff += e.Quantity
	case events.StockReserved:
		if _, again := l.open[e.ReservationID]; again {
			t.Fatalf("%s reserved twice", e.ReservationID)
		}
		l.open[e.ReservationID] = e.Quantity
	case events.StockReleased:
		l.open[e.ReservationID] -= e.Quantity
	case events.StockCommitted:
		l.open[e.ReservationID] -= e.Quantity
		l.committed += e.Quantity
	}
}

func (l *ledger) onHand() int {
	return l.received + l.adjusted + l.restocked - l.committed - l.writtenOff
}

func (l *ledger) reserved() (sum int) {
	for _, n := range l.open {
		sum += n
	}
	return sum
}

// I5: received + adjusted + restocked − committed − written off = on hand; reserved = the sum of open reservations; and
// nothing is promised twice, whatever order commands come in and however often.
func TestStockIsConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s stock.Stock
		l := ledger{open: map[string]int{}}
		now := noon
		for range rapid.IntRange(1, 60).Draw(t, "commands") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "hours")) * time.Hour)
			c := anyCommand(t, now)
			facts, err := c.Decide(s)
			if err != nil && es.Rejected(err) == "" {
				t.Fatalf("%#v: %v", c, err)
			}
			for _, e := range facts {
				s.Evolve(e)
				l.add(t, e)
			}
			if s.OnHand != l.onHand() || s.Reserved != l.reserved() || s.OnHand < 0 {
				t.Fatalf("after %#v: on hand %d, the events say %d; reserved %d, the events say %d", c, s.OnHand, l.onHand(), s.Reserved, l.reserved())
			}
			if s.Reserved > s.OnHand && !l.adjustedShort {
				t.Fatalf("after %#v: %d reserved of %d", c, s.Reserved, s.OnHand)
			}
			for id, n := range l.open {
				if r, known := s.Reservations[id]; n < 0 || known && (r.Open != n || r.Quantity != r.Open+r.Committed+r.Released) || !known && n > 0 {
					t.Fatalf("after %#v: reservation %s holds %d, the state says %+v", c, id, n, r)
				}
			}
			for _, e := range facts {
				if r, ok := e.(events.StockReserved); ok && s.Available() < 0 {
					t.Fatalf("%d were reserved, which leaves %d", r.Quantity, s.Available())
				}
			}
		}
	})
}

func anyCommand(t *rapid.T, now time.Time) es.Decision[stock.Stock] {
	id := func(of string) string { return fmt.Sprint(of, rapid.IntRange(1, 6).Draw(t, "id")) }
	n := rapid.IntRange(0, 12).Draw(t, "quantity")
	// Ids of reservations carry the day, as ids of orders are never used again after 72 hours.
	r := id("r") + now.Format("/02")
	switch rapid.IntRange(0, 9).Draw(t, "command") {
	case 0, 1, 2:
		return stock.Reserve{SKU: "A", ReservationID: r, Quantity: n, At: now}
	case 3:
		return stock.Release{SKU: "A", ReservationID: r, At: now}
	case 4:
		return stock.Commit{SKU: "A", ReservationID: r, Quantity: n, At: now}
	case 5:
		return stock.Restock{SKU: "A", RestockID: id("C"), Quantity: n}
	case 6:
		return stock.WriteOff{SKU: "A", Quantity: n}
	case 7:
		return stock.Adjust{SKU: "A", Change: n - 6}
	case 8:
		return stock.SetPolicy{SKU: "A", Safety: n / 3}
	default:
		return stock.Receive{SKU: "A", ReceiptID: id("PO-"), Quantity: n}
	}
}

func TestMain(m *testing.M) { modeltest.Main(m) }
