package e2e_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

const goodOrder = `{"id":"bad","currency":"GBP","customer":{"email":"bo@example.com"},"ship_to":{"line1":"2 High Street","city":"London","country":"GB"},` +
	`"shipping_method":"standard","lines":[{"sku":"MUG","quantity":1}],"payment":{"token":"tok_approve"}}`

// Whatever is wrong with a request is named, and nothing is stored: the end of the log stays where it was.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := openShop(t, testenv.Options{Args: []string{"--log-level", "debug"}})
	s.stock(t, "MUG", 10)
	s.c.Post(t, 201, "/v1/products", "gone", `{"sku":"GONE","name":"Gone","prices":{"GBP":1}}`)
	if a := s.do(t, "PATCH", "/v1/products/GONE", `{"status":"discontinued"}`, "Idempotency-Key", "discontinue"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.c.Post(t, 201, "/v1/orders", "used", testenv.Order("used", "tok_approve", testenv.Line("MUG", 1)))
	s.ended(t, "used")
	before := s.quiet(t)
	t.Run("orders", s.badOrders)
	t.Run("other bodies", s.badBodies)
	t.Run("card numbers", s.cardNumbers)
	t.Run("imports", s.badImports)
	t.Run("slow body", s.slowBody)
	t.Run("pages of other sites", s.otherSites)
	t.Run("unreadable requests", s.unreadableRequests)
	if after := s.quiet(t); after != before {
		t.Errorf("the log went from %s to %s", before, after)
	}
	for _, path := range []string{"/v1/orders?", "/v1/products?"} {
		if n := len(items(t, s.c, path)); n > 2 {
			t.Errorf("%s has %d items", path, n)
		}
	}
}

func (s *shop) badOrders(t *testing.T) {
	with := func(old, by string) string {
		t.Helper()
		if !strings.Contains(goodOrder, old) {
			t.Fatalf("no %s in the order", old)
		}
		return strings.Replace(goodOrder, old, by, 1)
	}
	for _, c := range []struct {
		name, body string
		status     int
		code       string
		pointer    string // of the first fault
	}{
		{"half an object", goodOrder[:100], 400, "malformed_json", ""},
		{"no JSON at all", "order please", 400, "malformed_json", ""},
		{"two objects", goodOrder + goodOrder, 400, "malformed_json", ""},
		{"not UTF-8", with("London", "L\xffndon"), 400, "malformed_json", ""},
		{"half a surrogate pair", with("London", `\ud800`), 400, "malformed_json", ""},
		{"deep", strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), 400, "malformed_json", ""},
		{"an array", "[" + goodOrder + "]", 422, "validation", "#"},
		{"unknown field", with(`{"id"`, `{"colour":"red","id"`), 422, "validation", "#/colour"},
		{"unknown field below", with(`"quantity":1`, `"quantity":1,"unit_price":1`), 422, "validation", "#/lines/0/unit_price"},
		{"other case", with(`"currency"`, `"Currency"`), 422, "validation", "#/Currency"},
		{"field twice", with(`"id":"bad"`, `"id":"bad","id":"worse"`), 422, "validation", "#/id"},
		{"U+0000", with("London", `Lon\u0000don`), 422, "validation", "#/ship_to/city"},
		{"U+0000 in a name", with(`"email"`, `"na\u0000me":"x","email"`), 422, "validation", `#/customer/na\u0000me`},
		{"wrong currency", with("GBP", "EUR"), 422, "unknown_currency", "#/currency"},
		{"no currency", with("GBP", "pounds"), 422, "validation", "#/currency"},
		{"negative quantity", with(`"quantity":1`, `"quantity":-1`), 422, "validation", "#/lines/0/quantity"},
		{"no quantity", with(`"quantity":1`, `"quantity":0`), 422, "validation", "#/lines/0/quantity"},
		{"half a unit", with(`"quantity":1`, `"quantity":0.5`), 422, "validation", "#/lines/0/quantity"},
		{"exponent that leaves a fraction", with(`"quantity":1`, `"quantity":15e-1`), 422, "validation", "#/lines/0/quantity"},
		{"enormous exponent", with(`"quantity":1`, `"quantity":1e999999999`), 422, "validation", "#/lines/0/quantity"},
		{"more than there can be", with(`"quantity":1`, `"quantity":1000000000`), 422, "validation", "#/lines/0/quantity"},
		{"more than an int64", with(`"quantity":1`, `"quantity":99999999999999999999`), 422, "validation", "#/lines/0/quantity"},
		{"text for a number", with(`"quantity":1`, `"quantity":"1"`), 422, "validation", "#/lines/0/quantity"},
		{"number for a text", with(`"sku":"MUG"`, `"sku":1`), 422, "validation", "#/lines/0/sku"},
		{"null", with(`"lines":[{"sku":"MUG","quantity":1}]`, `"lines":null`), 422, "validation", "#/lines"},
		{"no lines", with(`{"sku":"MUG","quantity":1}`, ``), 422, "validation", "#/lines"},
		{"201 lines", with(`{"sku":"MUG","quantity":1}`, strings.Repeat(`{"sku":"MUG","quantity":1},`, 200)+`{"sku":"MUG","quantity":1}`), 422, "validation", "#/lines"},
		{"unknown SKU", with("MUG", "NONE"), 422, "unknown_sku", "#/lines/0/sku"},
		{"unknown SKU on the second line", with(`{"sku":"MUG","quantity":1}`, `{"sku":"MUG","quantity":1},{"sku":"NONE","quantity":1}`), 422, "unknown_sku", "#/lines/1/sku"},
		{"discontinued", with("MUG", "GONE"), 422, "discontinued", "#/lines/0/sku"},
		{"long SKU", with("MUG", strings.Repeat("M", 65)), 422, "validation", "#/lines/0/sku"},
		{"bad id", with(`"id":"bad"`, `"id":"b d"`), 422, "validation", "#/id"},
		{"long id", with(`"id":"bad"`, `"id":"`+strings.Repeat("b", 65)+`"`), 422, "validation", "#/id"},
		{"unknown method", with("standard", "pigeon"), 422, "unknown_shipping_method", "#/shipping_method"},
		{"not shipped there", with(`"country":"GB"`, `"country":"FR"`), 422, "not_shipped_there", "#/shipping_method"},
		{"no country", with(`"country":"GB"`, `"country":"Albion"`), 422, "validation", "#/ship_to/country"},
		{"no email", with(`{"email":"bo@example.com"}`, `{}`), 422, "validation", "#/customer"},
		{"bad email", with("bo@example.com", "bo at example"), 422, "validation", "#/customer/email"},
		{"unknown customer", with(`{"email":"bo@example.com"}`, `{"id":"C-9"}`), 422, "unknown_customer", "#/customer/id"},
		{"customer and guest", with(`{"email":"bo@example.com"}`, `{"id":"C-9","email":"bo@example.com"}`), 422, "validation", "#/customer"},
		{"other total", with(`"lines"`, `"expected_total":1,"lines"`), 409, "price_changed", "#/expected_total"},
		{"negative total", with(`"lines"`, `"expected_total":-1,"lines"`), 422, "validation", "#/expected_total"},
		{"no token", with(`{"token":"tok_approve"}`, `{}`), 422, "validation", "#/payment/token"},
		{"2 MB", with("London", strings.Repeat("L", 2<<20)), 413, "body_too_large", ""},
		{"id of another order", with(`"id":"bad"`, `"id":"used"`), 409, "order_exists", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.refused(t, c.status, c.code, "POST", "/v1/orders", c.body, "Idempotency-Key", c.name)
			if c.pointer == "" {
				if p.Detail == "" {
					t.Errorf("%+v", p)
				}
				return
			}
			if len(p.Errors) == 0 || p.Errors[0].Pointer != c.pointer {
				t.Errorf("%+v, want %s", p, c.pointer)
			}
		})
	}
	s.refused(t, 422, "idempotency_key_reused", "POST", "/v1/orders", testenv.Order("used", "tok_approve", testenv.Line("MUG", 2)), "Idempotency-Key", "used")
	s.refused(t, 400, "idempotency_key_required", "POST", "/v1/orders", goodOrder)
	s.refused(t, 400, "idempotency_key_required", "POST", "/v1/orders", goodOrder, "Idempotency-Key", `""`)
	s.refused(t, 400, "malformed_parameter", "POST", "/v1/orders", goodOrder, "Idempotency-Key", strings.Repeat("k", 256))
	s.refused(t, 415, "unsupported_media_type", "POST", "/v1/orders", goodOrder, "Idempotency-Key", "k", "Content-Type", "text/plain")
	s.refused(t, 400, "unknown_parameter", "POST", "/v1/orders?dry_run=true", goodOrder, "Idempotency-Key", "k")
}

func (s *shop) badBodies(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
		code, pointer      string
	}{
		{"POST", "/v1/products", `{"sku":"NEW","name":"New","prices":{"GBP":-1}}`, 422, "validation", "#/prices/GBP"},
		{"POST", "/v1/products", `{"sku":"NEW","name":"New","prices":{"gbp":1}}`, 422, "validation", "#/prices/gbp"},
		{"POST", "/v1/products", `{"sku":"NEW","name":"New","prices":{}}`, 422, "validation", "#/prices"},
		{"POST", "/v1/products", `{"sku":"NEW","name":"New","prices":{"GBP":9007199254740992}}`, 422, "validation", "#/prices/GBP"},
		{"POST", "/v1/products", `{"sku":"NEW","name":"` + strings.Repeat("N", 201) + `","prices":{"GBP":1}}`, 422, "validation", "#/name"},
		{"POST", "/v1/products", `{"sku":"MUG","name":"Mug","prices":{"GBP":1}}`, 409, "product_exists", ""},
		{"PATCH", "/v1/products/MUG", `{}`, 422, "validation", "#"},
		{"PATCH", "/v1/products/MUG", `{"name":"A","status":"active"}`, 422, "validation", "#"},
		{"PATCH", "/v1/products/MUG", `{"status":"sold"}`, 422, "validation", "#/status"},
		{"PATCH", "/v1/products/NONE", `{"name":"A"}`, 404, "product_not_found", ""},
		{"POST", "/v1/stock/MUG/receipts", `{"id":"R2","quantity":0}`, 422, "validation", "#/quantity"},
		{"POST", "/v1/stock/MUG/receipts", `{"id":"R1","quantity":11}`, 409, "receipt_differs", ""},
		{"POST", "/v1/stock/NONE/receipts", `{"id":"R1","quantity":1}`, 404, "product_not_found", ""},
		{"POST", "/v1/stock/MUG/adjustments", `{"change":1}`, 422, "validation", "#/reason"},
		{"POST", "/v1/stock/MUG/adjustments", `{"change":-11,"reason":"gone"}`, 409, "not_enough_stock", ""},
		{"POST", "/v1/customers", `{"id":"C 1"}`, 422, "validation", "#/id"},
		{"POST", "/v1/customers", `{"id":"C-1","country":"gb"}`, 422, "validation", "#/country"},
		{"POST", "/v1/orders/none/cancel", `{}`, 404, "order_not_found", ""},
		{"POST", "/v1/orders/used/cancel", `{"reason":""}`, 422, "validation", "#/reason"},
		{"POST", "/v1/orders/used/cancel", `{"why":"x"}`, 422, "validation", "#/why"},
		{"POST", "/v1/orders/u%2Fsed/cancel", `{}`, 400, "malformed_parameter", "id"},
		{"POST", "/v1/nothing", `{}`, 404, "route_not_found", ""},
		{"PUT", "/v1/orders/used", `{}`, 405, "method_not_allowed", ""},
	} {
		p := s.refused(t, c.status, c.code, c.method, c.path, c.body, "Idempotency-Key", c.path+c.body[:min(len(c.body), 100)])
		if c.pointer != "" && (len(p.Errors) == 0 || p.Errors[0].Pointer != c.pointer) {
			t.Errorf("%s %s: %+v, want %s", c.path, c.body, p, c.pointer)
		}
	}
	for _, path := range []string{"/v1/products/%00", "/v1/products/%ff", "/v1/stock/%00", "/v1/orders/%00", "/v1/customers/a%20b"} {
		s.refused(t, 400, "malformed_parameter", "GET", path, "")
	}
	for _, c := range []struct{ method, path, body string }{{"PATCH", "/v1/products/MUG", `{"name":"A"}`}, {"POST", "/v1/orders/used/cancel", ""}} {
		s.refused(t, 400, "idempotency_key_required", c.method, c.path, c.body)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	if p := s.refused(t, 404, "order_not_found", "GET", "/v1/orders/none", "", "traceparent", "00-"+trace+"-00f067aa0ba902b7-01"); p.TraceID != trace {
		t.Errorf("trace %s, want the caller's", p.TraceID)
	}
	for _, name := range []string{"as_of", "known_at"} {
		s.refused(t, 400, "bad_time", "GET", "/v1/orders/used?"+name+"=yesterday", "")
	}
}

// cardNumbers are refused wherever they are below payment, and appear nowhere: not in the answer, not in the logs.
func (s *shop) cardNumbers(t *testing.T) {
	for i, payment := range []string{
		`{"token":"4111111111111111"}`, `{"token":"4111 1111 1111 1111"}`, `{"token":"4111-1111-1111-1111"}`, `{"token":"378282246310005"}`,
		`{"token":"tok_approve","number":"4111111111111111"}`, `{"token":"tok_approve","number":4111111111111111}`,
		`{"token":"tok_approve","card":{"pan":"4111111111111111"}}`, `{"token":["4111111111111111"]}`, `{"4111111111111111":"x"}`,
	} {
		body := strings.Replace(goodOrder, `{"token":"tok_approve"}`, payment, 1)
		a := s.do(t, http.MethodPost, "/v1/orders", body, "Idempotency-Key", fmt.Sprint("card-", i))
		var p problem
		_ = json.Unmarshal(a.Body, &p)
		if a.Status != 422 || p.Code != "card_number_refused" || len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Pointer, "#/payment") {
			t.Errorf("%s: %d %s", payment, a.Status, a.Body)
		}
		if text := plain(string(a.Body)); strings.Contains(text, "411111111111") || strings.Contains(text, "378282246310") {
			t.Errorf("%s is repeated: %s", payment, a.Body)
		}
	}
	if text := plain(s.Output()); strings.Contains(text, "411111111111") || strings.Contains(text, "378282246310") {
		t.Error("the logs have a card number")
	}
	if strings.Contains(s.Output(), "tok_approve") || strings.Contains(s.Output(), "bo@example.com") {
		t.Error("the logs have a token or an address")
	}
}

// slowBody: one that does not come to its end is not waited for.
func (s *shop) slowBody(t *testing.T) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.API, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: slow\r\nContent-Length: %d\r\n\r\n%s", len(goodOrder), goodOrder[:50]); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var p problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != http.StatusRequestTimeout || p.Code != "body_too_slow" {
		t.Errorf("%d %+v %v", res.StatusCode, p, err)
	}
}

// otherSites: no listener that speaks HTTP takes what a page of another site sends, by its own name for this machine or by ours.
func (s *shop) otherSites(t *testing.T) {
	var at struct {
		API, Admin string
		Provider   string `json:"payment_provider"`
	}
	s.Addresses(&at)
	for name, c := range map[string]struct{ method, url string }{
		"API":       {http.MethodPost, at.API + "/v1/orders/used/cancel"},
		"stream":    {http.MethodGet, at.API + "/v1/orders/used/events"},
		"document":  {http.MethodGet, at.API + "/openapi.yaml"},
		"admin":     {http.MethodGet, at.Admin + "/metrics"},
		"simulator": {http.MethodPost, at.Provider + "/simulator/v1/actions/x"},
	} {
		for _, h := range []struct {
			host, header, value string
			status              int
		}{
			{"evil.example", "", "", 421}, {"evil.example", "Origin", "http://evil.example", 421},
			{"", "Origin", "http://evil.example", 403}, {"", "Origin", "null", 403}, {"", "Sec-Fetch-Site", "cross-site", 403},
		} {
			req, err := http.NewRequestWithContext(t.Context(), c.method, c.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = h.host
			if h.header != "" {
				req.Header.Set(h.header, h.value)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != h.status || res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s, %+v: %d %v", name, h, res.StatusCode, res.Header)
			}
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace", "/debug/pprof/heap"} {
		res, err := http.Get(at.Admin + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s without --pprof: %d", path, res.StatusCode)
		}
	}
}

// unreadableRequests: what net/http refuses by itself is a problem like any other.
func (s *shop) unreadableRequests(t *testing.T) {
	for _, lines := range []string{"GET /v1/products/%zz HTTP/1.1\r\nHost: localhost", "nonsense", "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 200_000)} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.API, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "%s\r\n\r\n", lines)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%.40s: %v", lines, err)
		}
		var p problem
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" || res.StatusCode/100 != 4 || len(p.TraceID) != 32 {
			t.Errorf("%.40s: %d %+v %v", lines, res.StatusCode, p, err)
		}
		_ = res.Body.Close()
		_ = conn.Close()
	}
}

func plain(s string) string { return strings.NewReplacer(" ", "", "-", "", `\`, "").Replace(s) }

// badImports: another header refuses the whole file, a broken line is left out by its number and reason.
func (s *shop) badImports(t *testing.T) {
	dir := t.TempDir()
	run := func(content string) (map[string]any, string, error) {
		file := filepath.Join(dir, "in.csv")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, err := testenv.Run(t, "import", "online-retail", "--data-dir", s.DataDir, "--json", "--rejects", filepath.Join(dir, "rejects.csv"), file)
		summary := map[string]any{}
		if err == nil {
			if err := json.Unmarshal([]byte(out), &summary); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		return summary, errs, err
	}
	for name, content := range map[string]string{
		"wrong header":     "Invoice,SKU\n1,2\n",
		"columns swapped":  "StockCode,InvoiceNo,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n",
		"no header":        "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n",
		"empty file":       "",
		"not UTF-8":        onlineRetailHeader + "\n536365,85123A,\xff,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n",
		"something binary": "\x00\x01\x02",
	} {
		_, errs, err := run(content)
		if err == nil || !strings.Contains(errs, "in.csv") || name != "not UTF-8" && !strings.Contains(errs, "InvoiceNo") || name == "not UTF-8" && !strings.Contains(errs, "line 2") || strings.Count(errs, "\n") > 3 {
			t.Errorf("%s: %v, %q", name, err, errs)
		}
	}
	lines := []string{
		`536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0`,                         // a column short
		`536365,85123A,"HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom`,         // an open quote, on to the end of its line
		`53636X,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom`,          // invoice
		`536365,85123A,HOLDER,six,2010-12-01 08:26:00,2.55,17850.0,United Kingdom`,        // number
		`536365,85123A,HOLDER,6,2010-02-31 08:26:00,2.55,17850.0,United Kingdom`,          // date
		`536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.555,17850.0,United Kingdom`,         // decimals
		`536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,Atlantis`,                // country
		`536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom,and more`, // a column too many
	}
	summary, errs, err := run(onlineRetailHeader + "\n" + strings.Join(lines, "\n") + "\n")
	if err != nil || summary["recorded"] != 0.0 || summary["orders"] != 0.0 {
		t.Errorf("%v %v %s", summary, err, errs)
	}
	f, err := os.Open(filepath.Join(dir, "rejects.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rejected, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var numbers []string
	for _, r := range rejected[1:] {
		numbers = append(numbers, r[0])
		if r[1] != "malformed" || r[2] == "" {
			t.Errorf("rejected %q", r)
		}
	}
	if want := []string{"2", "3", "4", "5", "6", "7", "8", "9"}; !slices.Equal(numbers, want) {
		t.Errorf("rejected lines %v, want %v", numbers, want)
	}
	if _, errs, err := testenv.Run(t, "import", "online-retail", "--data-dir", s.DataDir, filepath.Join(dir, "none.csv")); err == nil || !strings.Contains(errs, "none.csv") {
		t.Errorf("no such file: %v %s", err, errs)
	}
}
