package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// till is what the shop and the provider say, at rest, about the orders that were placed.
type till struct {
	*shop

	provider string
}

// charge is one of the provider's, as its ledger shows it.
type charge struct {
	ID, Status                                   string
	Authorised, Captured, Voided, Refunded, Open int64
}

func (s *till) charges(t *testing.T, order string) []charge {
	t.Helper()
	var ledger struct{ Charges []charge }
	a, err := (&testenv.Client{Base: s.provider, HTTP: http.DefaultClient}).Do(t.Context(), "GET", "/simulator/v1/charges?order="+order, "")
	if err != nil {
		t.Fatal(err)
	}
	a.Into(t, &ledger)
	return ledger.Charges
}

// act ends a 3-D Secure action.
func (s *till) act(t *testing.T, order, result string) {
	t.Helper()
	charges := s.charges(t, order)
	if len(charges) != 1 {
		t.Fatalf("%s has %d charges", order, len(charges))
	}
	a, err := (&testenv.Client{Base: s.provider, HTTP: http.DefaultClient}).Do(t.Context(), "POST", "/simulator/v1/actions/"+charges[0].ID, fmt.Sprintf(`{"result":%q}`, result))
	if err != nil || a.Status != 200 {
		t.Fatalf("%s: %d %s %v", result, a.Status, a.Body, err)
	}
}

// conserved holds an order at rest to I4, its SKUs, which are its own, to I5: the provider holds the total of a confirmed
// order and nothing of any other, the shop says the same, and exactly a confirmed order's units are reserved.
func (s *till) conserved(t *testing.T, o placed, received int64) {
	t.Helper()
	var owed, held int64
	if o.Status == "confirmed" {
		owed = o.Total
	}
	for _, c := range s.charges(t, o.ID) {
		held += c.Open + c.Captured - c.Refunded
	}
	if held != owed || o.Payment.Authorised+o.Payment.Captured-o.Payment.Refunded != owed {
		t.Errorf("%s: owed %d, the provider holds %d, the shop says %+v", o, owed, held, o.Payment)
	}
	promised := map[string]int64{}
	for _, l := range o.Lines {
		if promised[l.SKU] += 0; o.Status == "confirmed" {
			promised[l.SKU] += l.Quantity
		}
		if cancelled := o.Status == "cancelled"; cancelled != (l.Cancelled == l.Quantity) || cancelled != (l.Open == 0) {
			t.Errorf("%s: line %+v", o, l)
		}
	}
	for sku, n := range promised {
		var st struct {
			OnHand    int64 `json:"on_hand"`
			Reserved  int64
			Available int64
		}
		s.c.Get(t, "/v1/stock/"+sku+"?min_position="+o.Position).Into(t, &st)
		if st.OnHand != received || st.Reserved != n || st.Available != received-n {
			t.Errorf("%s: %s is %+v, want %d of %d reserved", o, sku, st, n, received)
		}
	}
}

const units = 10 // received of each SKU

func TestPlacing(t *testing.T) {
	t.Parallel()
	s := &till{shop: openShop(t, testenv.Options{Args: []string{
		"--action-within", "2s", "--authorise-within", "20s", "--provider-timeout", "1s", "--not-found-after", "1s",
	}})}
	var at struct {
		PaymentProvider string `json:"payment_provider"`
	}
	s.Addresses(&at)
	s.provider = at.PaymentProvider
	t.Run("tokens", s.tokens)
	t.Run("cancelled", s.cancelled)
	t.Run("refused", s.noStock)
	t.Run("closed", s.closed)
}

func (s *till) tokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		token           string
		status, payment string
		code, decline   string // of the rejection
		first           string // payment status on the way, if it must have been seen
		do              string // result of the action
	}{
		{token: "tok_approve", status: "confirmed", payment: "authorised"},
		{token: "tok_decline", status: "rejected", payment: "declined", code: "payment_declined", decline: "insufficient_funds"},
		{token: "tok_decline_once", status: "rejected", payment: "declined", code: "payment_declined", decline: "insufficient_funds"},
		{token: "tok_slow_500", status: "confirmed", payment: "authorised", first: "pending"},
		{token: "tok_slow_3000", status: "confirmed", payment: "authorised", first: "unknown"},
		{token: "tok_silent", status: "rejected", payment: "declined", first: "unknown"}, // declined, or timed out, as it falls
		{token: "tok_silent_approved", status: "confirmed", payment: "authorised", first: "unknown"},
		{token: "tok_late_3", status: "confirmed", payment: "authorised", first: "unknown"},
		{token: "tok_late_28", status: "rejected", payment: "voided", code: "payment_timed_out", first: "unknown"},
		{token: "tok_expires_3600", status: "confirmed", payment: "authorised"},
		{token: "tok_wrong_amount", status: "rejected", payment: "declined", code: "payment_declined", decline: "amount_mismatch"},
		{token: "tok_capture_fails", status: "confirmed", payment: "authorised"},
		{token: "tok_void_fails_once", status: "confirmed", payment: "authorised"},
		{token: "tok_refund_fails", status: "confirmed", payment: "authorised"},
		{token: "tok_refund_reversed", status: "confirmed", payment: "authorised"},
		{token: "tok_nonsense", status: "rejected", payment: "declined", code: "payment_declined", decline: "unknown_token"},
		{token: "tok_action", do: "approve", status: "confirmed", payment: "authorised", first: "action_required"},
		{token: "tok_action", do: "fail", status: "rejected", payment: "declined", code: "payment_declined", decline: "authentication_failed", first: "action_required"},
		{token: "tok_action", status: "rejected", payment: "voided", code: "payment_timed_out", first: "action_required"},
	} {
		name := c.token + c.do
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.stock(t, name, units)
			s.c.Post(t, 201, "/v1/orders", name, testenv.Order(name, c.token, testenv.Line(name, 3)))
			if c.first != "" {
				s.until(t, name, c.first, func(o placed) bool { return o.Payment.Status == c.first })
			}
			if c.first == "action_required" {
				if o := s.order(t, name); o.Status == "placed" && (o.Payment.Action == nil || o.Payment.Action.URL == "") {
					t.Errorf("no action: %+v", o)
				}
			}
			if c.do != "" {
				s.act(t, name, c.do)
			}
			o := s.ended(t, name)
			if o.Status != c.status || o.Payment.Status != c.payment || (o.Rejection != nil) != (c.status == "rejected") {
				t.Errorf("ended %s, want %s %s", o, c.status, c.payment)
			}
			if r := o.Rejection; r != nil && c.code != "" && (r.Code != c.code || c.decline != "" && (r.DeclineCode != c.decline || r.Detail == "")) {
				t.Errorf("rejected with %+v, want %s %s", r, c.code, c.decline)
			}
			s.conserved(t, o, units)
		})
	}
}

// cancelled at each stage, each ends cancelled, with nothing held and nothing reserved.
func (s *till) cancelled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, token, at, payment string }{
		{"reserving", "tok_approve", "", ""},
		{"reserving-slow", "tok_slow_800", "", ""},
		{"authorising", "tok_slow_800", "pending", "voided"},
		{"authorising-late", "tok_late_3", "unknown", "voided"},
		{"unknown-approved", "tok_silent_approved", "unknown", "voided"},
		{"unknown-never", "tok_silent", "unknown", "declined"},
		{"action-required", "tok_action", "action_required", "voided"},
		{"confirmed", "tok_approve", "authorised", "voided"},
		{"confirmed-void-fails", "tok_void_fails_once", "authorised", "voided"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s.stock(t, "C-"+c.name, units)
			id := "cancel-" + c.name
			s.c.Post(t, 201, "/v1/orders", id, testenv.Order(id, c.token, testenv.Line("C-"+c.name, 3)))
			if c.at != "" {
				s.until(t, id, c.at, func(o placed) bool {
					return o.Payment.Status == c.at && (c.at != "authorised" || o.Status == "confirmed")
				})
			}
			a := s.c.Post(t, 202, "/v1/orders/"+id+"/cancel", id, `{"reason":"changed my mind"}`)
			if got := a.Object(t)["status"]; got != "cancelling" || a.Header.Get("Location") != "/v1/orders/"+id {
				t.Errorf("answered %v, %v", got, a.Header)
			}
			o := s.until(t, id, "cancelled", func(o placed) bool { return o.Status == "cancelled" })
			if c.payment != "" && o.Payment.Status != c.payment {
				t.Errorf("ended %s, want cancelled %s", o, c.payment)
			}
			s.conserved(t, o, units)
			s.again(t, id, o)
		})
	}
	t.Run("rejected", func(t *testing.T) {
		t.Parallel()
		s.stock(t, "C-rejected", units)
		s.c.Post(t, 201, "/v1/orders", "c-rejected", testenv.Order("c-rejected", "tok_decline", testenv.Line("C-rejected", 1)))
		s.again(t, "c-rejected", s.ended(t, "c-rejected"))
	})
	t.Run("twice at once", func(t *testing.T) {
		t.Parallel()
		s.stock(t, "C-twice", units)
		s.c.Post(t, 201, "/v1/orders", "c-twice", testenv.Order("c-twice", "tok_approve", testenv.Line("C-twice", 1)), "Prefer", "wait=30")
		status := make(chan int, 8)
		for i := range cap(status) {
			go func() {
				a, err := s.c.Do(t.Context(), "POST", "/v1/orders/c-twice/cancel", "", "Idempotency-Key", fmt.Sprint("c-twice-", i), "Prefer", "wait=30")
				if err != nil {
					t.Error(err)
				}
				status <- a.Status
			}()
		}
		for range cap(status) {
			if got := <-status; got != 200 {
				t.Errorf("answered %d", got)
			}
		}
		o := s.order(t, "c-twice")
		if o.Revision != 3 { // placed, confirmed, cancel_requested, cancelled
			t.Errorf("%s at revision %d", o, o.Revision)
		}
		s.conserved(t, o, units)
	})
}

// again: what has ended is 200, and nothing happens.
func (s *till) again(t *testing.T, id string, was placed) {
	t.Helper()
	var o placed
	a := s.c.Post(t, 200, "/v1/orders/"+id+"/cancel", id+"-again", `{}`)
	if a.Into(t, &o); o.Status != was.Status || o.Revision != was.Revision {
		t.Errorf("cancelled again: %s at %d, was %s at %d", o, o.Revision, was, was.Revision)
	}
	if now := s.order(t, id); now.Revision != was.Revision {
		t.Errorf("cancelled again: %s went from %d to %d", now, was.Revision, now.Revision)
	}
}

func (s *till) noStock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		lines  []string
		status string
		short  int // line
		asked  int64
	}{
		{"too-many", []string{testenv.Line("too-many", units+1)}, "rejected", 1, units + 1},
		{"all-there-is", []string{testenv.Line("all-there-is", units)}, "confirmed", 0, 0},
		{"two-lines", []string{testenv.Line("two-lines", 4), testenv.Line("two-lines", 6)}, "confirmed", 0, 0},
		{"two-lines-too-many", []string{testenv.Line("two-lines-too-many", 6), testenv.Line("two-lines-too-many", 5)}, "rejected", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s.stock(t, c.name, units)
			var o placed
			s.c.Post(t, 201, "/v1/orders", c.name, testenv.Order(c.name, "tok_approve", c.lines...), "Prefer", "wait=30").Into(t, &o)
			if o.Status != c.status {
				t.Errorf("ended %s, want %s", o, c.status)
			}
			if c.status == "rejected" {
				if r := o.Rejection; r == nil || r.Code != "out_of_stock" || len(r.Lines) != 1 ||
					c.short > 0 && (r.Lines[0].Line != c.short || r.Lines[0].SKU != c.name || r.Lines[0].Requested != c.asked || r.Lines[0].Available != units) {
					t.Errorf("rejected with %+v", o.Rejection)
				}
				if len(s.charges(t, c.name)) != 0 {
					t.Error("the card was asked although there was no stock")
				}
			}
			s.conserved(t, o, units)
		})
	}
	t.Run("never received", func(t *testing.T) {
		t.Parallel()
		s.stock(t, "never-received", 0)
		var o placed
		s.c.Post(t, 201, "/v1/orders", "never", testenv.Order("never", "tok_approve", testenv.Line("never-received", 1)), "Prefer", "wait=30").Into(t, &o)
		if o.Status != "rejected" || o.Rejection.Code != "out_of_stock" {
			t.Errorf("ended %s", o)
		}
	})
	t.Run("free of charge", func(t *testing.T) { // shipping costs, so nothing is free but the thing
		t.Parallel()
		s.c.Post(t, 201, "/v1/products", "gift", `{"sku":"gift","name":"Gift","prices":{"GBP":0}}`)
		s.c.Post(t, 201, "/v1/stock/gift/receipts", "gift", `{"id":"R1","quantity":10}`)
		var o placed
		s.c.Post(t, 201, "/v1/orders", "gift", testenv.Order("gift", "tok_approve", testenv.Line("gift", 1)), "Prefer", "wait=30").Into(t, &o)
		if o.Status != "confirmed" || o.Total != 395 {
			t.Errorf("ended %s, of %d", o, o.Total)
		}
		s.conserved(t, o, units)
	})
	t.Run("one left, twenty want it", func(t *testing.T) {
		t.Parallel()
		s.stock(t, "last-one", 1)
		ended := make(chan placed, 20)
		for i := range cap(ended) {
			go func() {
				id := fmt.Sprint("last-", i)
				a, err := s.c.Do(t.Context(), "POST", "/v1/orders", testenv.Order(id, "tok_approve", testenv.Line("last-one", 1)), "Idempotency-Key", id, "Prefer", "wait=30")
				if err != nil || a.Status != 201 {
					t.Errorf("%d %s %v", a.Status, a.Body, err)
				}
				ended <- placed{ID: id}
			}()
		}
		count := map[string]int{}
		var won placed
		for range cap(ended) {
			o := s.ended(t, (<-ended).ID)
			if count[o.Status]++; o.Status == "confirmed" {
				won = o
			}
		}
		if count["confirmed"] != 1 || count["rejected"] != 19 {
			t.Errorf("they ended %v", count)
		}
		s.conserved(t, won, 1)
	})
}

// closed orders come from the importer so far: 409, and nothing happens.
func (s *till) closed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "one.csv")
	const one = onlineRetailHeader + "\n536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n"
	if err := os.WriteFile(file, []byte(one), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, err := testenv.Run(t, "import", "online-retail", "--data-dir", s.DataDir, file); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, errs)
	}
	was := s.order(t, "536365")
	if was.Status != "closed" || was.Payment.Status != "captured" || was.Total != 6*255 {
		t.Errorf("recorded %s of %d", was, was.Total)
	}
	s.refused(t, 409, "order_closed", "POST", "/v1/orders/536365/cancel", "", "Idempotency-Key", "closed")
	if now := s.order(t, "536365"); now.Revision != was.Revision {
		t.Errorf("went from revision %d to %d", was.Revision, now.Revision)
	}
	if len(s.charges(t, "536365")) != 0 {
		t.Error("the provider knows of it")
	}
}
