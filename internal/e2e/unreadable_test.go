package e2e_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/kit/es"
)

// eventStore is a client of the event store that a process runs.
func eventStore(t *testing.T, p *testenv.Process) *esclient.Client {
	t.Helper()
	var at struct {
		EventStore string `json:"eventstore"`
	}
	p.Addresses(&at)
	connection, err := secrets.WithLogin(at.EventStore)
	if err != nil {
		t.Fatal(err)
	}
	c, err := esclient.Open(t.Context(), esclient.Config{ConnectionString: connection})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// appendRaw appends an event that no command of this program wrote.
func appendRaw(t *testing.T, c *esclient.Client, s es.StreamID, typ, data, meta string) {
	t.Helper()
	at := es.NoStream
	for r, err := range c.Read(t.Context(), s, 0) {
		if err != nil {
			t.Fatal(err)
		}
		at = es.Expected(r.Revision) //nolint:gosec // a revision
	}
	if _, err := c.Append(t.Context(), s, at, []es.Proposed{{ID: es.UUID(uuid.New()), Type: typ, Data: []byte(data), Meta: []byte(meta)}}); err != nil {
		t.Fatal(err)
	}
}

// unreadable is an event that this program cannot read, and what it says of it.
type unreadable struct {
	name, typ, data, meta string // typ "": one that belongs into the stream
	code, says            string
	version               float64 // 0: not known
}

// A stream that holds an event which this program cannot read takes no command, and says why. Lists are answered, and a query of the
// stream's row is, or says that it is parked.
func TestUnreadableEvents(t *testing.T) {
	t.Parallel()
	all := []unreadable{
		{"newer-version", "", `{"x":1}`, `{"schema":9}`, "newer_version", "version 9: this program knows versions up to 1", 9},
		{"unknown-type", "order.teleported", `{}`, `{"schema":2}`, "newer_version", "order.teleported version 2", 2},
		{"type-of-other-streams", "lease.taken", `{}`, `{"schema":1}`, "newer_version", "lease.taken version 1", 1},
		{"no-version", "", `{}`, `{}`, "unreadable_event", "is damaged", 0},
		{"damaged-data", "", `[1]`, `{"schema":1}`, "unreadable_event", "version 1 is damaged", 1},
		{"damaged-metadata", "", `{}`, `[1]`, "unreadable_event", "is damaged", 0},
		{"version-0", "", `{}`, `{"schema":0}`, "unreadable_event", "is damaged", 0},
		{"version-below-0", "", `{}`, `{"schema":-1}`, "unreadable_event", "is damaged", 0},
		{"version-of-32-bits", "", `{}`, `{"schema":2147483648}`, "newer_version", "version 2147483648: this program knows versions up to 1", 1 << 31},
		{"version-of-100-bits", "", `{}`, `{"schema":1267650600228229401496703205376}`, "unreadable_event", "is damaged", 0},
		{"broken-version", "", `{}`, `{"schema":1.5}`, "unreadable_event", "is damaged", 0},
		{"null-data", "", ` null`, `{"schema":1}`, "unreadable_event", "version 1 is damaged", 1},
		{"number-data", "", `7`, `{"schema":1}`, "unreadable_event", "version 1 is damaged", 1},
		{"no-data", "", ``, `{"schema":1}`, "unreadable_event", "version 1 is damaged", 1},
		{"null-metadata", "", `{}`, `null`, "unreadable_event", "is damaged", 0},
		{"text-metadata", "", `{}`, `"schema"`, "unreadable_event", "is damaged", 0},
		{"no-metadata", "", `{}`, ``, "unreadable_event", "is damaged", 0},
	}
	s := openShop(t, testenv.Options{Args: testenv.AnyPorts()})
	for _, u := range all {
		s.stock(t, u.name, 10)
		s.c.Post(t, 201, "/v1/customers", u.name, `{"id":"`+u.name+`","name":"Ann"}`)
		s.c.Post(t, 201, "/v1/orders", u.name, testenv.Order(u.name, "tok_approve", testenv.Line(u.name, 1)))
	}
	for _, u := range all {
		s.ended(t, u.name)
	}
	store := eventStore(t, s.Process)
	for _, u := range all {
		for category, typ := range map[string]string{
			"order": "order.confirmed", "product": "product.renamed", "stock": "stock.received", "customer": "customer.registered", "payment": "payment.declined",
		} {
			appendRaw(t, store, es.StreamID{Category: category, Key: u.name}, cmp.Or(u.typ, typ), u.data, u.meta)
		}
	}
	for _, u := range all {
		t.Run(u.name, func(t *testing.T) { s.unreadable(t, u) })
	}
}

func (s *shop) unreadable(t *testing.T, u unreadable) {
	t.Helper()
	for i, c := range []struct{ method, path, body string }{
		{"POST", "/v1/orders/KEY/cancel", `{}`},
		{"POST", "/v1/orders/KEY/cancel", `{"reason":"changed my mind"}`},
		{"POST", "/v1/orders", testenv.Order("KEY", "tok_approve", testenv.Line("KEY", 2))},
		{"POST", "/v1/orders", testenv.Order("new-KEY", "tok_approve", testenv.Line("KEY", 1))},
		{"POST", "/v1/products", `{"sku":"KEY","name":"Mug","prices":{"GBP":1}}`},
		{"PATCH", "/v1/products/KEY", `{"name":"Cup"}`},
		{"POST", "/v1/stock/KEY/receipts", `{"id":"R9","quantity":1}`},
		{"POST", "/v1/stock/KEY/adjustments", `{"change":-1,"reason":"count"}`},
		{"POST", "/v1/customers", `{"id":"KEY","name":"Bo"}`},
	} {
		keyed := strings.NewReplacer("KEY", u.name)
		a := s.do(t, c.method, keyed.Replace(c.path), keyed.Replace(c.body), "Idempotency-Key", fmt.Sprintf("%s-%d", u.name, i))
		var p struct {
			Code    string  `json:"code"`
			Detail  string  `json:"detail"`
			Type    string  `json:"event_type"`
			Version float64 `json:"event_version"`
		}
		if err := json.Unmarshal(a.Body, &p); err != nil || a.Status != http.StatusServiceUnavailable || p.Code != u.code ||
			!strings.Contains(p.Detail, u.says) || p.Version != u.version || !strings.Contains(p.Detail, p.Type) || p.Type == "" {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Status, a.Body)
		}
	}
	for _, path := range []string{
		"/v1/orders/KEY", "/v1/orders/KEY?version=0", "/v1/orders/KEY/timeline", "/v1/orders", "/v1/products", "/v1/products/KEY", "/v1/stock/KEY",
		"/v1/customers/KEY", "/v1/customers/KEY/orders", "/v1/reports/sales?by=month",
	} {
		ofRow := strings.Contains(path, "KEY")
		path = strings.ReplaceAll(path, "KEY", u.name)
		a := s.do(t, http.MethodGet, path, "")
		if parked := ofRow && a.Status == http.StatusServiceUnavailable && a.Object(t)["code"] == "row_parked"; a.Status != http.StatusOK && !parked {
			t.Errorf("GET %s: %d %s", path, a.Status, a.Body)
		}
	}
}

// Streams that are not the shop's, events as large as the store takes, and unreadable events in streams that the sagas write keep no
// order from its end.
func TestForeignEventsStopNothing(t *testing.T) {
	t.Parallel()
	s := openShop(t, testenv.Options{Args: testenv.AnyPorts()})
	s.stock(t, "MUG", 100)
	s.c.Post(t, 201, "/v1/orders", "before", testenv.Order("before", "tok_approve", testenv.Line("MUG", 1)))
	s.ended(t, "before")
	store := eventStore(t, s.Process)
	large := `{"text":"` + strings.Repeat("x", 1<<20-1000) + `"}`
	for _, at := range []es.StreamID{
		{Category: "unheard", Key: "before"}, {Category: "$unheard", Key: "before"}, {Key: "unheard"}, {Key: "$unheard"}, {Key: "-"},
		{Category: "placement", Key: "before"}, {Category: "placement", Key: "after"}, {Category: "cancellation", Key: "before"},
	} {
		appendRaw(t, store, at, "order.teleported", `{}`, `{"schema":2}`)
		appendRaw(t, store, at, "unheard", `[]`, `7`)
		appendRaw(t, store, at, "unheard", large, `{}`)
	}
	appendRaw(t, store, es.StreamID{Category: "stock", Key: "MUG"}, "stock.received", large, `{"schema":1}`)
	for i := range 24 { // of every partition, and the streams of most are not those above
		id := fmt.Sprintf("after-%d", i)
		s.c.Post(t, 201, "/v1/orders", id, testenv.Order(id, "tok_approve", testenv.Line("MUG", 1)))
	}
	for i := range 24 {
		s.ended(t, fmt.Sprintf("after-%d", i))
	}
	appendRaw(t, store, es.StreamID{Category: "order", Key: "after-0"}, "order.teleported", `{}`, `{"schema":2}`)
	s.operated(t, "after-0")
}

// operated does what an operator does who has read `daybook projections --help`, when an event of an order could not be applied.
func (s *shop) operated(t *testing.T, order string) {
	t.Helper()
	daybook := func(args ...string) (out, errs string, err error) {
		t.Helper()
		return testenv.Run(t, append([]string{"projections"}, append(args, "--data-dir", s.DataDir)...)...)
	}
	ready := func() string {
		t.Helper()
		res, err := http.Get(s.Admin + "/readyz?verbose") //nolint:noctx // of a process that answers
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const helps = "daybook projections parked"
	status := func() int { return s.do(t, http.MethodGet, "/v1/orders/"+order, "").Status }
	listed := func() string { return s.do(t, http.MethodGet, "/v1/orders", "").Header.Get("Daybook-Parked") }
	until := time.Now().Add(time.Minute) // each read model parks for itself
	for !strings.Contains(ready(), helps) || status() != http.StatusServiceUnavailable || listed() != "1" {
		if time.Sleep(20 * time.Millisecond); time.Now().After(until) {
			t.Fatalf("order %d, list %q: %s", status(), listed(), ready())
		}
	}
	if out, errs, err := daybook("retry", "--all", "-o", "json"); err == nil || !strings.Contains(errs, "still parked") {
		t.Errorf("a retry that fails: %v\n%s%s", err, out, errs)
	}
	for until = time.Now().Add(time.Minute); strings.Contains(ready(), helps) || status() != http.StatusOK || listed() != ""; {
		var parked struct {
			Items []struct{ ID, Projection, Key string }
		}
		out, errs, err := daybook("parked", "-o", "json")
		if err != nil || json.Unmarshal([]byte(out), &parked) != nil {
			t.Fatalf("%v\n%s%s", err, out, errs)
		}
		skip := []string{"skip", "--reason", "of another shop", "-o", "table"}
		for _, p := range parked.Items {
			if skip = append(skip, p.ID); p.Key != order {
				t.Errorf("%s of %s is parked", p.Key, p.Projection)
			}
		}
		if len(parked.Items) > 0 {
			if out, errs, err := daybook(skip...); err != nil && !strings.Contains(errs, "still parked") {
				t.Fatalf("a skip: %v\n%s%s", err, out, errs)
			}
		}
		if time.Now().After(until) {
			t.Fatalf("order %d, list %q: %s", status(), listed(), ready())
		}
	}
}
