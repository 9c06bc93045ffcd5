package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/doctor"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// A market places orders at one address, whatever becomes of the processes behind it, and remembers every answer it was given.
type market struct {
	client *testenv.Client

	mu     sync.Mutex
	orders map[string]string // what each must end as; "": any end
	acks   []ack
}

// ack is an accepted command with its answer.
type ack struct {
	path, key, body string
	answer          testenv.Answer
}

// address is a loopback address that nobody listens on, outside of the range from which connections take theirs.
func address(t testing.TB) string {
	t.Helper()
	for range 100 {
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(10000)))
		if l, err := net.Listen("tcp", at); err == nil {
			_ = l.Close()
			return at
		}
	}
	t.Fatal("no free port")
	return ""
}

func newMarket(at string) *market {
	return &market{client: &testenv.Client{Base: "http://" + at, HTTP: &http.Client{Timeout: 20 * time.Second}}, orders: map[string]string{}}
}

// command insists until it is accepted or ctx ends.
func (s *market) command(ctx context.Context, path, key, body string) error {
	a, err := s.client.Insist(ctx, path, key, body)
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

func (s *market) place(ctx context.Context, id, token, must string, lines ...string) error {
	s.mu.Lock()
	s.orders[id] = must
	s.mu.Unlock()
	return s.command(ctx, "/v1/orders", "place-"+id, testenv.Order(id, token, lines...))
}

// stocked adds a product with some units.
func (s *market) stocked(ctx context.Context, sku string, units int) error {
	if err := s.command(ctx, "/v1/products", "add-"+sku, fmt.Sprintf(`{"sku":%q,"name":"A thing","prices":{"GBP":1250}}`, sku)); err != nil {
		return err
	}
	return s.command(ctx, "/v1/stock/"+sku+"/receipts", "receive-"+sku, fmt.Sprintf(`{"id":"first","quantity":%d}`, units))
}

// ended waits until every order has come to the end that it must.
func (s *market) ended(t testing.TB, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	s.mu.Lock()
	open := maps.Clone(s.orders)
	s.mu.Unlock()
	for {
		for id, must := range open {
			status := s.status(ctx, id)
			switch {
			case status == "", status == "placed", status == "cancelling", status == "confirmed" && must == "cancelled":
				continue
			case must != "" && status != must:
				t.Errorf("order %s is %s, and must be %s", id, status, must)
			}
			delete(open, id)
		}
		if len(open) == 0 {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			for id := range open {
				t.Errorf("order %s has not ended: it is %q", id, s.status(context.WithoutCancel(t.Context()), id))
			}
			return
		}
	}
}

func (s *market) status(ctx context.Context, id string) string {
	a, err := s.client.Do(ctx, http.MethodGet, "/v1/orders/"+id, "")
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

// stillTrue repeats every accepted command: it must get the answer that it got then, and take effect no second time.
func (s *market) stillTrue(t testing.TB) {
	t.Helper()
	for _, k := range s.acks {
		a, err := s.client.Do(t.Context(), http.MethodPost, k.path, k.body, "Idempotency-Key", k.key)
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
		if b, then := whatStands(t, a), whatStands(t, k.answer); b != then {
			t.Errorf("%s under %s: answered %s, now %s", k.path, k.key, then, b)
		}
	}
}

// revision is the ETag's part that names the stream's revision.
func revision(h http.Header) string {
	r, _, _ := strings.Cut(strings.Trim(h.Get("ETag"), `"`), "-")
	return r
}

// whatStands is an answer's body without the position, which says how far the answer saw.
func whatStands(t testing.TB, a testenv.Answer) string {
	t.Helper()
	o := a.Object(t)
	delete(o, "position")
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// examine asks the doctor about a data directory, and fails the test if it finds anything.
func examine(t testing.TB, args ...string) doctor.Report {
	t.Helper()
	out, errs, err := testenv.Run(t, append([]string{"doctor", "--json"}, args...)...)
	var r doctor.Report
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
		t.Fatalf("doctor: %v, %v\n%s\n%s", err, jsonErr, out, errs)
	}
	for _, f := range r.Findings {
		t.Errorf("doctor: %s", f)
	}
	if err != nil && len(r.Findings) == 0 {
		t.Errorf("doctor: %v\n%s", err, errs)
	}
	if (err != nil) == r.Healthy {
		t.Errorf("doctor says healthy %t and ends with %v", r.Healthy, err)
	}
	t.Logf("doctor: %d events, at rest %t %v, %v in %.1f s; %v", r.Checked["events"], r.AtRest, r.Moving, r.Checked, r.Seconds, r.Notes)
	return r
}
