package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

func TestReading(t *testing.T) {
	t.Parallel()
	s := openShop(t, testenv.Options{})
	s.stock(t, "MUG", 10_000)
	s.c.Post(t, 201, "/v1/customers", "C-1", `{"id":"C-1","name":"Ada Example","email":"ada@example.com","phone":"1","country":"GB"}`)
	for i := range 3 {
		s.bought(t, fmt.Sprint("known-", i))
	}
	for _, sub := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"idle", s.idle}, {"far ahead", s.farAhead}, {"moments", s.moments}, {"versions", s.versions}, {"pages", s.walk},
		{"diffs", s.diffs}, {"cursors", s.cursors}, {"heads", s.heads}, {"names", s.names}, {"every operation", s.everyOperation}, {"operators", s.operators},
	} {
		t.Run(sub.name, sub.run)
	}
}

// bought is an order of the registered customer, confirmed.
func (s *shop) bought(t *testing.T, id string) placed {
	t.Helper()
	body := strings.Replace(testenv.Order(id, "tok_approve", testenv.Line("MUG", 1)), `{"email":"bo@example.com"}`, `{"id":"C-1"}`, 1)
	var o placed
	s.c.Post(t, 201, "/v1/orders", id, body, "Prefer", "wait=30").Into(t, &o)
	if o.Status != "confirmed" {
		t.Fatalf("%s", o)
	}
	return o
}

// models is a query of each read model.
var models = []string{
	"/v1/orders/known-0?", "/v1/orders?", "/v1/customers/C-1?", "/v1/customers/C-1/orders?", "/v1/products?", "/v1/products/MUG?",
	"/v1/stock/MUG?", "/v1/orders/known-0/timeline?", "/v1/reports/sales?by=month", "/v1/reports/sales?by=day",
	"/v1/reports/sales?by=country", "/v1/reports/sales?by=product",
}

// idle: when nothing happens any more, every read model answers at once that it reaches the end of the log, whatever
// partition the last event was in, and a single row says so too.
func (s *shop) idle(t *testing.T) {
	s.quiet(t)
	for i := range 8 { // each ends the log in some other partition
		sku := fmt.Sprint("IDLE-", i)
		a := s.c.Post(t, 201, "/v1/products", sku, fmt.Sprintf(`{"sku":%q,"name":"Idle","prices":{"GBP":1}}`, sku))
		for _, path := range models {
			got := s.reached(t, path+"&min_position="+a.Position())
			reached, err := strconv.ParseUint(got.Position(), 10, 64)
			asked, _ := strconv.ParseUint(a.Position(), 10, 64)
			if err != nil || reached < asked || got.Object(t)["position"] != got.Position() {
				t.Errorf("%s asked for %d reaches %s: %s", path, asked, got.Position(), got.Body)
			}
		}
	}
}

// reached asks until the position that is waited for has been reached: on a busy machine that may take longer than a query waits.
func (s *shop) reached(t *testing.T, path string) testenv.Answer {
	t.Helper()
	var a testenv.Answer
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		if a = s.do(t, http.MethodGet, path, ""); a.Status == 200 {
			return a
		}
		if a.Status != 503 || a.Header.Get("Retry-After") == "" {
			break
		}
	}
	t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	return a
}

// farAhead: what is not there yet is 503 with Retry-After, after a while, from every read model.
func (s *shop) farAhead(t *testing.T) {
	var wg sync.WaitGroup
	for _, path := range models {
		wg.Go(func() {
			began := time.Now()
			a, err := s.c.Do(t.Context(), "GET", path+"&min_position=999999999", "")
			if err != nil {
				t.Error(err)
				return
			}
			var p problem
			_ = json.Unmarshal(a.Body, &p)
			took := time.Since(began)
			if after, err := strconv.Atoi(a.Header.Get("Retry-After")); a.Status != 503 || p.Code != "not_yet" || err != nil || after < 1 || took < 1900*time.Millisecond {
				t.Errorf("%s: after %s %d %v %s", path, took, a.Status, a.Header, a.Body)
			}
		})
	}
	wg.Wait()
	for _, path := range models {
		for _, bad := range []string{"-1", "abc", "1.5", "", "99999999999999999999"} {
			p := s.refused(t, 400, "malformed_parameter", "GET", path+"&min_position="+bad, "")
			if len(p.Errors) == 0 || p.Errors[0].Pointer != "min_position" {
				t.Errorf("min_position=%s: %+v", bad, p)
			}
		}
	}
}

// moments: as_of and known_at, alone and together, and a pair asked twice.
func (s *shop) moments(t *testing.T) {
	s.bought(t, "moment")
	between := s.now(t)
	a := s.c.Post(t, 200, "/v1/orders/moment/cancel", "moment", `{"reason":"a moment later"}`, "Prefer", "wait=30")
	later := s.now(t)
	at := "&min_position=" + a.Position()
	for _, c := range []struct{ query, status string }{
		{"as_of=" + between, "confirmed"}, {"as_of=" + later, "cancelled"}, {"known_at=" + between, "confirmed"}, {"known_at=" + later, "cancelled"},
		{"as_of=" + between + "&known_at=" + later, "confirmed"}, {"as_of=" + later + "&known_at=" + between, "confirmed"},
		{"as_of=" + later + "&known_at=" + later, "cancelled"},
	} {
		got := s.c.Get(t, "/v1/orders/moment?"+c.query+at).Object(t)
		if got["status"] != c.status || got["as_of"] == nil || got["known_at"] == nil {
			t.Errorf("%s: %v, as of %v, known at %v; want %s", c.query, got["status"], got["as_of"], got["known_at"], c.status)
		}
		list := s.c.Get(t, "/v1/orders?status="+c.status+"&customer=C-1&"+c.query+at)
		if !contains(list.Body, "moment") {
			t.Errorf("%s: not among the %s: %s", c.query, c.status, list.Body)
		}
	}
	// Before it was placed.
	before := "2020-01-01T00:00:00Z"
	for _, query := range []string{"as_of=" + before, "known_at=" + before} {
		for _, path := range []string{"/v1/orders/moment", "/v1/orders/moment/timeline", "/v1/products/MUG", "/v1/stock/MUG", "/v1/customers/C-1"} {
			s.refused(t, 404, "not_found_at", "GET", path+"?"+query, "")
		}
		for _, path := range []string{"/v1/orders?", "/v1/products?", "/v1/customers/C-1/orders?", "/v1/reports/sales?by=month&"} {
			if got := s.c.Get(t, path+query).Object(t)["items"].([]any); len(got) != 0 {
				t.Errorf("%s%s: %v", path, query, got)
			}
		}
	}
	// A pair in the past stays the same, whatever happens meanwhile.
	pair := "&as_of=" + between + "&known_at=" + later
	bodies := map[string]string{}
	s.past(t, later)
	for round := range 3 {
		for _, path := range models {
			got := s.c.Get(t, path+pair)
			body := got.Object(t)
			delete(body, "position") // how far the read model has come by now
			text := quote(t, body)
			if was, known := bodies[path]; known && was != text {
				t.Errorf("%s%s was %s and is %s", path, pair, was, text)
			}
			bodies[path] = text
		}
		s.bought(t, fmt.Sprint("meanwhile-", round))
	}
	for _, name := range []string{"as_of", "known_at"} {
		for _, bad := range []string{"", "now", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "0000-01-01T00:00:00Z"} {
			for _, path := range models {
				p := s.refused(t, 400, "bad_time", "GET", path+"&"+name+"="+url.QueryEscape(bad), "")
				if len(p.Errors) != 1 || p.Errors[0].Pointer != name {
					t.Errorf("%s %s=%s: %+v", path, name, bad, p)
				}
			}
		}
		s.c.Get(t, "/v1/orders/known-0?"+name+"="+url.QueryEscape(time.Now().Add(time.Second).Format(time.RFC3339Nano))) // clocks differ a little
	}
}

// now is a moment after everything that was answered, and before what comes.
func (s *shop) now(t *testing.T) string {
	t.Helper()
	at := time.Now().UTC()
	s.past(t, at.Format(time.RFC3339Nano))
	return at.Format(time.RFC3339Nano)
}

// past waits until a moment is behind us.
func (s *shop) past(t *testing.T, moment string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-time.After(time.Until(at.Add(5 * time.Millisecond))):
	case <-t.Context().Done():
	}
}

func (s *shop) versions(t *testing.T) {
	o := s.bought(t, "versioned")
	for version, status := range []string{"placed", "confirmed"} {
		var was placed
		got := s.c.Get(t, fmt.Sprintf("/v1/orders/versioned?version=%d&min_position=%s", version, o.Position))
		if got.Into(t, &was); was.Status != status || was.Revision != int64(version) || !strings.HasPrefix(got.Header.Get("ETag"), fmt.Sprintf(`"%d-`, version)) {
			t.Errorf("version %d: %s at %d, %v", version, was, was.Revision, got.Header)
		}
	}
	s.refused(t, 404, "not_found_at", "GET", "/v1/orders/versioned?version=2", "")
	s.refused(t, 404, "not_found_at", "GET", "/v1/orders/none?version=0", "")
	s.refused(t, 400, "malformed_parameter", "GET", "/v1/orders/versioned?version=0&as_of=2026-01-01T00:00:00Z", "")
	s.refused(t, 400, "malformed_parameter", "GET", "/v1/orders/versioned?version=0&known_at=2026-01-01T00:00:00Z", "")
	for _, bad := range []string{"-1", "x", "1.0", "99999999999999999999"} {
		s.refused(t, 400, "malformed_parameter", "GET", "/v1/orders/versioned?version="+bad, "")
	}
}

// walk: going through all pages while orders are being added shows every order that was there before once, and none twice.
func (s *shop) walk(t *testing.T) {
	before := map[string]bool{}
	for _, o := range ids(t, items(t, s.c, "/v1/orders?limit=200")) {
		before[o] = true
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			id := fmt.Sprint("walk-", i)
			if a, err := s.c.Do(t.Context(), "POST", "/v1/orders", testenv.Order(id, "tok_approve", testenv.Line("MUG", 1)), "Idempotency-Key", id); err != nil || a.Status != 201 {
				t.Errorf("%d %s %v", a.Status, a.Body, err)
				return
			}
		}
	}()
	for range 5 {
		seen := map[string]int{}
		for _, id := range ids(t, items(t, s.c, "/v1/orders?limit=2")) {
			seen[id]++
		}
		for id := range before {
			if seen[id] != 1 {
				t.Errorf("%s was seen %d times", id, seen[id])
			}
		}
		for id, n := range seen {
			if n > 1 {
				t.Errorf("%s was seen %d times", id, n)
			}
		}
	}
	close(stop)
	<-stopped
	s.quiet(t)
	// At a moment in the past the list does not change, page by page the same as in one.
	moment := "&as_of=" + s.now(t)
	if whole, pages := ids(t, items(t, s.c, "/v1/orders?limit=200"+moment)), ids(t, items(t, s.c, "/v1/orders?limit=3"+moment)); !slices.Equal(whole, pages) {
		t.Errorf("whole %v\npages %v", whole, pages)
	}
}

func ids(t *testing.T, all []json.RawMessage) []string {
	t.Helper()
	out := make([]string, len(all))
	for i, raw := range all {
		var o struct{ ID, SKU, Position string }
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		out[i] = o.ID + o.SKU + o.Position
	}
	return out
}

// cursors are of one filter and one list; the Link header leads to the next page, as the body's next does.
func (s *shop) cursors(t *testing.T) {
	for _, path := range []string{
		"/v1/orders?limit=2", "/v1/orders?limit=2&status=confirmed", "/v1/products?limit=2", "/v1/customers/C-1/orders?limit=2",
		"/v1/orders/known-0/timeline?limit=2", "/v1/reports/sales?limit=1&by=product",
	} {
		first := s.c.Get(t, path)
		body := first.Object(t)
		next, _ := body["next"].(string)
		link := first.Header.Get("Link")
		if path == "/v1/reports/sales?limit=1&by=product" && next == "" {
			continue // one product sold
		}
		target, rel, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		if next == "" || !strings.Contains(rel, `rel="next"`) {
			t.Errorf("%s: next %q, Link %q", path, next, link)
			continue
		}
		base, _ := url.Parse(s.API + path)
		ref, err := base.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		byLink, byNext := s.c.Get(t, strings.TrimPrefix(ref.String(), s.API)), s.c.Get(t, path+"&cursor="+url.QueryEscape(next))
		if a, b := byLink.Object(t)["items"], byNext.Object(t)["items"]; fmt.Sprint(a) != fmt.Sprint(b) || fmt.Sprint(a) == fmt.Sprint(body["items"]) {
			t.Errorf("%s: by Link %v, by next %v, first %v", path, a, b, body["items"])
		}
		for _, other := range []string{"/v1/orders?status=rejected", "/v1/orders?country=FR", "/v1/orders?as_of=2026-01-01T00:00:00Z", "/v1/orders/known-1/timeline?", "/v1/reports/sales?by=month", "/v1/customers/C-2/orders?"} {
			s.refused(t, 400, "bad_cursor", "GET", other+"&cursor="+url.QueryEscape(next), "")
		}
	}
	for _, bad := range []string{"x", "e30", "AAAA", strings.Repeat("A", 1000), "eyJmIjoib3JkZXJzIn0"} {
		for _, path := range []string{"/v1/orders?", "/v1/products?", "/v1/reports/sales?by=day", "/v1/orders/known-0/timeline?", "/v1/customers/C-1/orders?"} {
			s.refused(t, 400, "bad_cursor", "GET", path+"&cursor="+bad, "")
		}
	}
	for _, bad := range []string{"0", "201", "-1", "x", ""} {
		s.refused(t, 400, "malformed_parameter", "GET", "/v1/orders?limit="+bad, "")
	}
	s.refused(t, 400, "unknown_parameter", "GET", "/v1/orders?colour=red", "")
	s.refused(t, 400, "bad_range", "GET", "/v1/reports/sales?by=day&from=2026-02-01&to=2026-01-01", "")
}

// heads: a HEAD has the GET's status and headers.
func (s *shop) heads(t *testing.T) {
	s.quiet(t)
	for _, path := range append(slices.Clone(models), "/v1/orders/none?", "/v1/orders?limit=0", "/v1/nothing?", "/livez?", "/readyz?", "/openapi.yaml?") {
		get, head := s.do(t, http.MethodGet, path, ""), s.do(t, http.MethodHead, path, "")
		if get.Status != head.Status || len(head.Body) != 0 {
			t.Errorf("HEAD %s: %d with %d bytes, GET %d", path, head.Status, len(head.Body), get.Status)
		}
		for _, name := range []string{"Content-Type", "ETag", "Daybook-Position", "Link"} {
			if get.Header.Get(name) != head.Header.Get(name) {
				t.Errorf("HEAD %s: %s is %q, GET's %q", path, name, head.Header.Get(name), get.Header.Get(name))
			}
		}
	}
	if a := s.do(t, http.MethodHead, "/v1/orders/known-0/events", ""); a.Status != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD of a stream: %d %v", a.Status, a.Header)
	}
	if a := s.do(t, http.MethodDelete, "/v1/orders/known-0", ""); a.Status != 405 || !strings.Contains(a.Header.Get("Allow"), "GET") {
		t.Errorf("DELETE: %d, Allow %q", a.Status, a.Header.Get("Allow"))
	}
}

// names: a SKU of any lawful text goes through products, receipts, stock, orders and reports, and back.
func (s *shop) names(t *testing.T) {
	for i, sku := range []string{
		"A/B", "A//B/", "a+b", "a~b", "a.b", "a..", "0", "x-_1", "85123A", "4006381333931", strings.Repeat("x", 64), "x" + strings.Repeat("/", 63),
	} {
		quoted := quote(t, sku)
		path := url.PathEscape(sku)
		added := s.c.Post(t, 201, "/v1/products", fmt.Sprint("name-", i), fmt.Sprintf(`{"sku":%s,"name":"Named","prices":{"GBP":100}}`, quoted))
		if got := added.Header.Get("Location"); got != "/v1/products/"+path {
			t.Errorf("%q: Location %s", sku, got)
		}
		received := s.c.Post(t, 201, "/v1/stock/"+path+"/receipts", "R", `{"id":"R","quantity":5}`)
		at := "?min_position=" + received.Position()
		for _, got := range []map[string]any{added.Object(t), received.Object(t), s.c.Get(t, added.Header.Get("Location")+at).Object(t), s.c.Get(t, received.Header.Get("Location")+at).Object(t)} {
			if got["sku"] != sku {
				t.Errorf("%q came back as %q", sku, got["sku"])
			}
		}
		if a := s.do(t, "PATCH", "/v1/products/"+path, `{"name":"Renamed"}`, "Idempotency-Key", fmt.Sprint("rename-", i), "If-Match", added.Header.Get("ETag")); a.Status != 200 || a.Object(t)["sku"] != sku {
			t.Errorf("%q: PATCH %d %s", sku, a.Status, a.Body)
		}
		var o placed
		id := fmt.Sprint("named-", i)
		s.c.Post(t, 201, "/v1/orders", id, testenv.Order(id, "tok_approve", fmt.Sprintf(`{"sku":%s,"quantity":2}`, quoted)), "Prefer", "wait=30").Into(t, &o)
		if o.Status != "confirmed" || o.Lines[0].SKU != sku {
			t.Errorf("%q: %s of %+v", sku, o, o.Lines)
		}
		var st struct{ Reserved int64 }
		if s.c.Get(t, "/v1/stock/"+path+"?min_position="+o.Position).Into(t, &st); st.Reserved != 2 {
			t.Errorf("%q: %d reserved", sku, st.Reserved)
		}
	}
	for i, sku := range []string{
		"", ".", "..", "/", "-x", strings.Repeat("x", 65), " a", "a ", "a b", "a\u00a0b", "a\u200bb", "a\u202eb", "a\tb", "Ünïcödé", "\u65e5\u672c", "😀", "A%2FB", "a?b=c", `quo"te\\`,
	} {
		quoted := quote(t, sku)
		p := s.refused(t, 422, "validation", "POST", "/v1/products", fmt.Sprintf(`{"sku":%s,"name":"Named","prices":{"GBP":100}}`, quoted), "Idempotency-Key", fmt.Sprint("bad-", i))
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "#/sku" {
			t.Errorf("%q: %+v", sku, p)
		}
	}
	all := ids(t, items(t, s.c, "/v1/products?limit=7"))
	if n := len(all); n != len(slices.Compact(slices.Sorted(slices.Values(all)))) || n < 12 {
		t.Errorf("%d products in pages: %q", n, all)
	}
}

// quote writes a value as JSON.
func quote(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// everyOperation of openapi.yaml has been asked for by the end, and answered as it says there: the client looks.
func (s *shop) everyOperation(t *testing.T) {
	s.c.Post(t, 201, "/v1/stock/MUG/adjustments", "adjusted", `{"change":-1,"reason":"broken"}`)
	s.bought(t, "every")
	s.c.Post(t, 202, "/v1/orders/every/cancel", "every", `{"reason":"enough"}`)
	s.until(t, "every", "cancelled", func(o placed) bool { return o.Status == "cancelled" })
	s.c.Post(t, 200, "/v1/orders/every/cancel", "every again", `{"reason":"enough"}`)
	stream := s.open(t, "every", "")
	stream.until(t, "order.placed")
	stream.close()
	s.spec.mu.Lock()
	defer s.spec.mu.Unlock()
	for path, item := range s.spec.doc.Paths.Map() {
		if !strings.HasPrefix(path, "/v1/") {
			continue // the client looks at those below /v1/
		}
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if status[0] == '2' && !s.spec.seen[op.OperationID+" "+status] {
					t.Errorf("%s %s was never answered with %s", method, path, status)
				}
			}
		}
	}
}
