// Package market trades with a running system as its customers do, over HTTP, and remembers every answer, so that a test can hold the
// system to all of them afterwards.
package market

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// EndWithin is how long orders may take to end, one after another, once there is no fault (I6).
const EndWithin = 60 * time.Second

// A Market places orders at one address, whatever becomes of the processes behind it, and remembers every answer it was given.
type Market struct {
	Client *testenv.Client

	mu     sync.Mutex
	orders map[string]string // what each must end as; "": any end
	acks   []ack
}

// ack is an accepted command with its answer.
type ack struct {
	path, key, body string
	answer          testenv.Answer
}

// New is a market that trades with the API at an address.
func New(at string) *Market {
	return &Market{Client: &testenv.Client{Base: "http://" + at, HTTP: &http.Client{Timeout: 20 * time.Second}}, orders: map[string]string{}}
}

// Command insists until it is accepted or ctx ends.
func (s *Market) Command(ctx context.Context, path, key, body string) error {
	a, err := s.Client.Insist(ctx, path, key, body)
	switch {
	case err != nil:
		return fmt.Errorf("POST %s: %w", path, err)
	case a.Status >= 300:
		return fmt.Errorf("POST %s: %d: %s", path, a.Status, a.Body)
	}
	s.mu.Lock()
	s.acks = append(s.acks, ack{path, key, body, a})
	s.mu.Unlock()
	return nil
}

// Place places an order that must end with a status.
func (s *Market) Place(ctx context.Context, id, token, must string, lines ...string) error {
	s.Must(id, must)
	return s.Command(ctx, "/v1/orders", "place-"+id, testenv.Order(id, token, lines...))
}

// Must says how an order has to end; "" allows any end.
func (s *Market) Must(id, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[id] = status
}

// Orders is how many orders were placed.
func (s *Market) Orders() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.orders)
}

// Stocked adds a product with some units.
func (s *Market) Stocked(ctx context.Context, sku string, units int) error {
	if err := s.Command(ctx, "/v1/products", "add-"+sku, fmt.Sprintf(`{"sku":%q,"name":"A thing","prices":{"GBP":1250}}`, sku)); err != nil {
		return err
	}
	return s.Command(ctx, "/v1/stock/"+sku+"/receipts", "receive-"+sku, fmt.Sprintf(`{"id":"first","quantity":%d}`, units))
}

// Ended waits until every order has come to the end that it must. It gives up when none has ended for a time: what hangs does not end,
// and how long all of them take depends on how many they are, and on what else the machine does.
func (s *Market) Ended(t testing.TB, within time.Duration) {
	t.Helper()
	s.mu.Lock()
	open := maps.Clone(s.orders)
	s.mu.Unlock()
	for last := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		looked := time.Now()
		for id, must := range open {
			status := s.Status(t.Context(), id)
			switch {
			case status == "", status == "placed", status == "cancelling", status == "confirmed" && must == "cancelled":
				continue
			case must != "" && status != must:
				t.Errorf("order %s is %s, and must be %s", id, status, must)
			}
			delete(open, id)
			last = time.Now()
		}
		if len(open) == 0 {
			return
		}
		if looked.Sub(last) > within { // all were asked since
			for id := range open {
				t.Errorf("order %s has not ended: it is %q", id, s.Status(t.Context(), id))
			}
			return
		}
	}
}

// Status is an order's status; "" if it is not visible.
func (s *Market) Status(ctx context.Context, id string) string {
	a, err := s.Client.Do(ctx, http.MethodGet, "/v1/orders/"+id, "")
	if err != nil || a.Status != http.StatusOK {
		return ""
	}
	var o struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(a.Body, &o) != nil {
		return ""
	}
	return o.Status
}

// StillTrue repeats every accepted command: it must get the answer that it got then, and take effect no second time.
func (s *Market) StillTrue(t testing.TB) {
	t.Helper()
	for _, k := range s.acks {
		a, err := s.Client.Do(t.Context(), http.MethodPost, k.path, k.body, "Idempotency-Key", k.key)
		if err != nil {
			t.Error(err)
			continue
		}
		was, is := k.answer.Header, a.Header
		switch {
		case a.Status != k.answer.Status:
			t.Errorf("%s under %s: answered %d, now %d: %s", k.path, k.key, k.answer.Status, a.Status, a.Body)
		case is.Get("Idempotent-Replayed") != "true":
			t.Errorf("%s under %s took effect again: %s", k.path, k.key, a.Body)
		case is.Get("Location") != was.Get("Location") || revision(is) != revision(was):
			t.Errorf("%s under %s: answered %s %s, now %s %s", k.path, k.key, was.Get("Location"), was.Get("ETag"), is.Get("Location"), is.Get("ETag"))
		}
		if b, then := withoutPosition(t, a), withoutPosition(t, k.answer); b != then {
			t.Errorf("%s under %s: answered %s, now %s", k.path, k.key, then, b)
		}
	}
}

// revision is the ETag's part that names the stream's revision.
func revision(h http.Header) string {
	r, _, _ := strings.Cut(strings.Trim(h.Get("ETag"), `"`), "-")
	return r
}

// withoutPosition is an answer's body without the position, which says how far the answer saw.
func withoutPosition(t testing.TB, a testenv.Answer) string {
	t.Helper()
	o := a.Object(t)
	delete(o, "position")
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// EndedOne waits for one order.
func (s *Market) EndedOne(t *testing.T, id string, within time.Duration) {
	t.Helper()
	s.mu.Lock()
	one := &Market{Client: s.Client, orders: map[string]string{id: s.orders[id]}}
	s.mu.Unlock()
	one.Ended(t, within)
}

// Paying tells whether an order's payment has been asked for.
func (s *Market) Paying(ctx context.Context, id string) bool {
	a, err := s.Client.Do(ctx, http.MethodGet, "/v1/orders/"+id, "")
	var o struct {
		Payment struct {
			Status string `json:"status"`
		} `json:"payment"`
	}
	return err == nil && a.Status == http.StatusOK && json.Unmarshal(a.Body, &o) == nil && o.Payment.Status != "" && o.Payment.Status != "none"
}

// Away waits until an order is no longer being placed.
func (s *Market) Away(ctx context.Context, id string) error {
	for {
		if status := s.Status(ctx, id); status != "" && status != "placed" {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("order %s is still being placed: %w", id, ctx.Err())
		}
	}
}
