package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

func TestIdempotency(t *testing.T) {
	t.Parallel()
	s := openShop(t, testenv.Options{})
	s.stock(t, "MUG", 1_000_000)
	for _, sub := range []struct {
		name string
		run  func(*testing.T)
	}{{"parallel", s.oneKey}, {"other body", s.otherBody}, {"scope", s.scope}, {"If-Match", s.ifMatch}, {"own writes", s.ownWrites}, {"preferences", s.preferences}} {
		t.Run(sub.name, sub.run)
	}
	s.replays(t)
}

// oneKey: fifty requests with one key at once are one effect and one answer.
func (s *shop) oneKey(t *testing.T) {
	t.Helper()
	s.stock(t, "CUP", 1000)
	for _, c := range []struct{ name, path, body, prefer string }{
		{"order", "/v1/orders", testenv.Order("fifty", "tok_approve", testenv.Line("CUP", 1)), ""},
		{"order with wait", "/v1/orders", testenv.Order("fifty-wait", "tok_approve", testenv.Line("CUP", 1)), "wait=30"},
		{"order whose id the shop chooses", "/v1/orders", unnamed("tok_approve", testenv.Line("CUP", 1)), ""},
		{"rejected order", "/v1/orders", testenv.Order("fifty-declined", "tok_decline", testenv.Line("CUP", 1)), ""},
		{"product", "/v1/products", `{"sku":"FIFTY","name":"Fifty","prices":{"GBP":1}}`, ""},
		{"receipt", "/v1/stock/MUG/receipts", `{"id":"fifty","quantity":7}`, ""},
		{"adjustment", "/v1/stock/MUG/adjustments", `{"change":-7,"reason":"fifty went missing"}`, ""},
		{"customer", "/v1/customers", `{"id":"C-50","name":"Fifty"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) { s.fifty(t, c.name, c.path, c.body, c.prefer) })
	}
	for page, n := range map[string]int{"/v1/orders?limit=200": 4, "/v1/products?limit=200": 3} {
		if got := len(items(t, s.c, page)); got != n {
			t.Errorf("%s: %d items, want %d", page, got, n)
		}
	}
	var st struct {
		OnHand int64 `json:"on_hand"`
	}
	if s.c.Get(t, "/v1/stock/MUG").Into(t, &st); st.OnHand != 1_000_000 {
		t.Errorf("%d on hand", st.OnHand)
	}
}

// unnamed is an order without an id.
func unnamed(token string, line string) string {
	const id = `{"id":"x",`
	return "{" + testenv.Order("x", token, line)[len(id):]
}

func (s *shop) fifty(t *testing.T, key, path, body, prefer string) {
	t.Helper()
	const n = 50
	answers := make([]testenv.Answer, n)
	// Every request comes over a connection of its own, as from as many processes.
	apart := http.DefaultTransport.(*http.Transport).Clone()
	apart.DisableKeepAlives = true
	c := &testenv.Client{Base: s.API, HTTP: &http.Client{Transport: &specified{t: t, doc: s.spec.doc, order: s.spec.order, next: apart, seen: map[string]bool{}}, Timeout: time.Minute}}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			var err error
			if answers[i], err = c.Do(t.Context(), "POST", path, body, "Idempotency-Key", key, "Prefer", prefer); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	first, others := 0, 0
	for _, a := range answers {
		if a.Header.Get("Idempotent-Replayed") != "true" {
			first++
		}
		if a.Status != 201 || said(t, a, prefer) != said(t, answers[0], prefer) {
			others++
			t.Logf("%d %v %s", a.Status, a.Header, a.Body)
		}
	}
	if others > 0 {
		t.Errorf("%d of %d were answered otherwise than the first: %v %s", others, n, answers[0].Header, answers[0].Body)
	}
	if first != 1 {
		t.Errorf("%d of %d are not marked as replayed, want 1", first, n)
	}
}

// said is what must be the same each time: everything, but that a waiting answer shows a row, and says how far that reaches.
func said(t *testing.T, a testenv.Answer, prefer string) string {
	t.Helper()
	if prefer == "" {
		return fmt.Sprint(a.Status, a.Header.Get("ETag"), a.Position(), a.Header.Get("Location"), string(a.Body))
	}
	body := a.Object(t)
	delete(body, "position")
	revision, _, _ := strings.Cut(a.Header.Get("ETag"), "-")
	return fmt.Sprint(a.Status, revision, a.Header.Get("Location"), body)
}

func (s *shop) otherBody(t *testing.T) {
	before := s.quiet(t)
	for _, c := range [][3]string{
		{"order", "/v1/orders", testenv.Order("fifty", "tok_approve", testenv.Line("CUP", 2))},
		{"order whose id the shop chooses", "/v1/orders", unnamed("tok_approve", testenv.Line("CUP", 2))},
		{"product", "/v1/products", `{"sku":"FIFTY","name":"Fifty","prices":{"GBP":2}}`},
		{"receipt", "/v1/stock/MUG/receipts", `{"id":"fifty","quantity":8}`},
		{"customer", "/v1/customers", `{"id":"C-50","name":"Fifty-one"}`},
	} {
		s.refused(t, 422, "idempotency_key_reused", "POST", c[1], c[2], "Idempotency-Key", c[0])
	}
	// White space and the order of members are not another body.
	a := s.c.Post(t, 201, "/v1/stock/MUG/receipts", "receipt", `{ "quantity" : 7, "id" : "fifty" }`)
	if a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same written otherwise: %v", a.Header)
	}
	if after := s.quiet(t); after != before {
		t.Errorf("the log went from %s to %s", before, after)
	}
}

// scope: one key with two ids is two commands, quoted or bare it is one key.
func (s *shop) scope(t *testing.T) {
	for _, sku := range []string{"ONE", "TWO"} {
		s.c.Post(t, 201, "/v1/products", "one key", fmt.Sprintf(`{"sku":%q,"name":"Thing","prices":{"GBP":1}}`, sku))
	}
	a := s.c.Post(t, 201, "/v1/products", `"one key"`, `{"sku":"ONE","name":"Thing","prices":{"GBP":1}}`)
	if a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("quoted: %v", a.Header)
	}
	// A refusal is not kept: it is decided again.
	short := `{"change":-1,"reason":"none there"}`
	s.refused(t, 409, "not_enough_stock", "POST", "/v1/stock/ONE/adjustments", short, "Idempotency-Key", "refused first")
	s.c.Post(t, 201, "/v1/stock/ONE/receipts", "ONE", `{"id":"R","quantity":1}`)
	s.c.Post(t, 201, "/v1/stock/ONE/adjustments", "refused first", short)
	// Each key is a request of its own.
	for _, name := range []string{"Other", "Other again"} {
		if a := s.do(t, "PATCH", "/v1/products/ONE", fmt.Sprintf(`{"name":%q}`, name), "Idempotency-Key", name); a.Status != 200 || a.Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
		}
	}
}

// ifMatch: a stale one is 412, the right one passes; of many who hold the same one, exactly one does; a replay comes first.
func (s *shop) ifMatch(t *testing.T) {
	added := s.c.Post(t, 201, "/v1/products", "matched", `{"sku":"MATCHED","name":"A","prices":{"GBP":1}}`)
	tag := added.Header.Get("ETag")
	const n = 20
	status := make([]int, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a, err := s.c.Do(t.Context(), "PATCH", "/v1/products/MATCHED", fmt.Sprintf(`{"name":"B%d"}`, i), "If-Match", tag, "Idempotency-Key", fmt.Sprint("matched-", i))
			if err != nil {
				t.Error(err)
			}
			status[i] = a.Status
		})
	}
	wg.Wait()
	won := -1
	for i, got := range status {
		switch {
		case got == 200 && won < 0:
			won = i
		case got != 412:
			t.Errorf("request %d: %d, and %d had passed", i, got, won)
		}
	}
	if won < 0 {
		t.Fatalf("none passed: %v", status)
	}
	again := s.do(t, "PATCH", "/v1/products/MATCHED", fmt.Sprintf(`{"name":"B%d"}`, won), "If-Match", tag, "Idempotency-Key", fmt.Sprint("matched-", won))
	if again.Status != 200 || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the one that passed, again: %d %s", again.Status, again.Body)
	}
	now := s.c.Get(t, "/v1/products/MATCHED?min_position="+again.Position())
	for _, c := range []struct {
		path, body, tag string
		status          int
	}{
		{"/v1/stock/MUG/receipts", `{"id":"matched","quantity":1}`, `"99999-1"`, 412},
		{"/v1/stock/MUG/adjustments", `{"change":1,"reason":"found"}`, `"99999-1"`, 412},
		{"/v1/orders/fifty/cancel", `{}`, `"0-1"`, 412},
	} {
		if a := s.do(t, "POST", c.path, c.body, "If-Match", c.tag, "Idempotency-Key", "stale"+c.path); a.Status != c.status {
			t.Errorf("%s: %d %s", c.path, a.Status, a.Body)
		}
	}
	if a := s.do(t, "PATCH", "/v1/products/MATCHED", `{"name":"C"}`, "Idempotency-Key", "matched C", "If-Match", now.Header.Get("ETag")); a.Status != 200 {
		t.Errorf("with the tag just read: %d %s", a.Status, a.Body)
	}
	star := s.do(t, "PATCH", "/v1/products/MATCHED", `{"name":"D"}`, "Idempotency-Key", "matched D", "If-Match", "*")
	if star.Status != 200 {
		t.Errorf("with *: %d %s", star.Status, star.Body)
	}
	at := star.Object(t)["revision"]
	for _, other := range []string{`"abc"`, `"1"`, `"1-"`, `"1-x"`, fmt.Sprintf(`W/"%v-1"`, at), `"0-1", "1-2"`} {
		s.refused(t, 412, "precondition_failed", "PATCH", "/v1/products/MATCHED", `{"name":"E"}`, "If-Match", other, "Idempotency-Key", "matched E")
	}
	for _, bad := range []string{`abc`, `1-2`, `"1-2`, `*, "1-2"`, `""1-2"`} {
		s.refused(t, 400, "malformed_parameter", "PATCH", "/v1/products/MATCHED", `{"name":"E"}`, "If-Match", bad, "Idempotency-Key", "matched E")
	}
	if a := s.do(t, "PATCH", "/v1/products/MATCHED", `{"name":"F"}`, "If-Match", fmt.Sprintf(`"0-1", "%v-1"`, at), "Idempotency-Key", "matched F"); a.Status != 200 {
		t.Errorf("with a list: %d %s", a.Status, a.Body)
	}
}

// ownWrites: after each acknowledged POST a query that is given its position shows it to every client, and never says that it
// reaches further than it does.
func (s *shop) ownWrites(t *testing.T) {
	const clients, each = 8, 25
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("own-%d-%d", c, i)
				if err := s.ownWrite(t, id); err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for c := range clients {
		for i := range each {
			if o := s.ended(t, fmt.Sprintf("own-%d-%d", c, i)); o.Status != "confirmed" {
				t.Errorf("%s", o)
			}
		}
	}
}

func (s *shop) ownWrite(t *testing.T, id string) error {
	a, err := s.c.Do(t.Context(), "POST", "/v1/orders", testenv.Order(id, "tok_approve", testenv.Line("MUG", 1)), "Idempotency-Key", id)
	if err != nil || a.Status != 201 {
		return fmt.Errorf("placing: %d %s %w", a.Status, a.Body, err)
	}
	at := a.Position()
	for _, path := range []string{"/v1/orders/" + id + "?min_position=" + at, "/v1/orders?limit=200&min_position=" + at, "/v1/orders/" + id + "/timeline?min_position=" + at} {
		for {
			got, err := s.c.Do(t.Context(), "GET", path, "")
			if err != nil {
				return err
			}
			if got.Status == 503 && got.Header.Get("Retry-After") != "" { // busy, and it says so
				continue
			}
			if got.Status != 200 {
				return fmt.Errorf("GET %s: %d %s", path, got.Status, got.Body)
			}
			want, _ := strconv.ParseUint(at, 10, 64)
			if reached, err := strconv.ParseUint(got.Position(), 10, 64); err != nil || reached < want || !contains(got.Body, id) {
				return fmt.Errorf("GET %s reaches %s and shows %s", path, got.Position(), got.Body)
			}
			break
		}
	}
	return nil
}

func contains(body []byte, id string) bool {
	for _, quoted := range []string{`"` + id + `"`, `"order-` + id + `"`} {
		for i := 0; i+len(quoted) <= len(body); i++ {
			if string(body[i:i+len(quoted)]) == quoted {
				return true
			}
		}
	}
	return false
}

func (s *shop) preferences(t *testing.T) {
	long := make(chan string, 1)
	go func() { // longer than a body may take to come
		a, err := s.c.Do(t.Context(), "POST", "/v1/orders", testenv.Order("prefer-long", "tok_late_11", testenv.Line("MUG", 1)), "Idempotency-Key", "prefer-long", "Prefer", "wait=30")
		var o placed
		_ = json.Unmarshal(a.Body, &o)
		long <- fmt.Sprint(a.Status, " ", o.Status, " ", err)
	}()
	for i, c := range []struct {
		prefer, applied string
		waits           bool
	}{
		{"wait=20", "wait=20", true},
		{"respond-async, wait=20", "wait=20", true},
		{`wait="20"`, "wait=20", true},
		{"WAIT=20; foo=bar", "wait=20", true},
		{"wait=9999", "wait=30", true},
		{"wait=0", "wait=0", false},
		{"wait=-1", "", false},
		{"wait=soon", "", false},
		{"return=minimal", "", false},
		{"", "", false},
	} {
		id := fmt.Sprint("prefer-", i)
		a := s.c.Post(t, 201, "/v1/orders", id, testenv.Order(id, "tok_slow_300", testenv.Line("MUG", 1)), "Prefer", c.prefer)
		var o placed
		a.Into(t, &o)
		want := "placed"
		if c.waits {
			want = "confirmed"
		}
		if got := a.Header.Get("Preference-Applied"); got != c.applied || o.Status != want {
			t.Errorf("Prefer: %s: %q, %s", c.prefer, got, o)
		}
		if o.Position != a.Position() || a.Header.Get("ETag") != fmt.Sprintf(`"%d-%s"`, o.Revision, o.Position) {
			t.Errorf("Prefer: %s: at %s, revision %d; %v", c.prefer, o.Position, o.Revision, a.Header)
		}
	}
	// The wait ends when time is up, with the order as it is.
	var o placed
	began := time.Now()
	s.c.Post(t, 201, "/v1/orders", "prefer-late", testenv.Order("prefer-late", "tok_late_60", testenv.Line("MUG", 1)), "Prefer", "wait=1").Into(t, &o)
	if took := time.Since(began); o.Status != "placed" || took < time.Second || took > 30*time.Second {
		t.Errorf("%s after %s", o, took)
	}
	// What needs the buyer is not waited for.
	s.c.Post(t, 201, "/v1/orders", "prefer-action", testenv.Order("prefer-action", "tok_action", testenv.Line("MUG", 1)), "Prefer", "wait=30").Into(t, &o)
	if o.Payment.Status != "action_required" {
		t.Errorf("%s", o)
	}
	if said := <-long; said != "201 confirmed <nil>" {
		t.Errorf("after a long wait: %s", said)
	}
}

// replays: what was answered before a restart is answered again after it, in the same words, and nothing happens.
func (s *shop) replays(t *testing.T) {
	path, body := "/v1/orders", testenv.Order("replayed", "tok_approve", testenv.Line("MUG", 1))
	first := s.c.Post(t, 201, path, "replayed", body)
	s.ended(t, "replayed")
	s.ended(t, "prefer-late")
	before := s.quiet(t)
	s.Kill()
	s2 := openShop(t, testenv.Options{DataDir: s.DataDir})
	again := s2.c.Post(t, 201, path, "replayed", body)
	if again.Header.Get("Idempotent-Replayed") != "true" || again.Header.Get("ETag") != first.Header.Get("ETag") || string(again.Body) != string(first.Body) {
		t.Errorf("after a restart: %v %s\nbefore: %v %s", again.Header, again.Body, first.Header, first.Body)
	}
	s2.refused(t, 422, "idempotency_key_reused", "POST", path, testenv.Order("replayed", "tok_approve", testenv.Line("MUG", 2)), "Idempotency-Key", "replayed")
	waited := s2.c.Post(t, 201, path, "replayed", body, "Prefer", "wait=5")
	var o placed
	if waited.Into(t, &o); o.Status != "confirmed" || waited.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("with wait: %s %v", o, waited.Header)
	}
	s2.fiftyAgain(t)
	if after := s2.quiet(t); after != before {
		t.Errorf("the log went from %s to %s", before, after)
	}
	s2.Stop()
}

// fiftyAgain repeats what fifty did, in another process.
func (s *shop) fiftyAgain(t *testing.T) {
	t.Helper()
	a := s.c.Post(t, 201, "/v1/stock/MUG/receipts", "receipt", `{"id":"fifty","quantity":7}`)
	if a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%v", a.Header)
	}
}
