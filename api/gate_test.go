package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
)

// reached is behind the gate and remembers what came through.
type reached struct {
	openapi.StrictServerInterface

	requests []api.Request
	bodies   []openapi.NewOrder
}

func (r *reached) PlaceOrder(ctx context.Context, in openapi.PlaceOrderRequestObject) (openapi.PlaceOrderResponseObject, error) {
	r.requests, r.bodies = append(r.requests, api.RequestOf(ctx)), append(r.bodies, *in.Body)
	return openapi.PlaceOrder201JSONResponse{}, nil
}

func serve(t *testing.T) (*echo.Echo, *reached) {
	t.Helper()
	gate, err := api.NewGate([]byte("installation"))
	if err != nil {
		t.Fatal(err)
	}
	e, r := api.NewEcho(slog.New(slog.DiscardHandler)), &reached{}
	if err := api.Routes(e, gate, r, api.Commands, api.Queries); err != nil {
		t.Fatal(err)
	}
	return e, r
}

const order = `{"currency":"GBP","customer":{"email":"bo@example.com"},"ship_to":{"line1":"2 High Street","city":"London","country":"GB"},
	"shipping_method":"standard","lines":[{"sku":"MUG","quantity":1}],"payment":{"token":"tok_approve"}}`

func post(e http.Handler, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "k")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, req)
	return w
}

func TestBadInputIsNamed(t *testing.T) {
	e, r := serve(t)
	with := func(old, by string) string {
		t.Helper()
		if !strings.Contains(order, old) {
			t.Fatalf("no %s in the order", old)
		}
		return strings.Replace(order, old, by, 1)
	}
	for _, tt := range []struct {
		name, body string
		headers    []string
		status     int
		code       string
		pointers   []string
	}{
		{"not JSON", "{", nil, 400, "malformed_json", nil},
		{"empty", "", nil, 415, "unsupported_media_type", nil},
		{"two values", order + "{}", nil, 400, "malformed_json", nil},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), nil, 400, "malformed_json", nil},
		{"other type", order, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", nil},
		{"no key", order, []string{"Idempotency-Key", ""}, 400, "idempotency_key_required", []string{"Idempotency-Key"}},
		{"long key", order, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "malformed_parameter", []string{"Idempotency-Key"}},
		{"unknown field", with(`"currency"`, `"colour":"red","currency"`), nil, 422, "validation", []string{"#/colour"}},
		{"unknown field below", with(`"sku"`, `"price":1,"sku"`), nil, 422, "validation", []string{"#/lines/0/price"}},
		{"two faults, by pointer", with(`"sku":"MUG","quantity":1`, `"sku":"","quantity":0`), nil, 422, "validation", []string{"#/lines/0/quantity", "#/lines/0/sku"}},
		{"negative quantity", with(`"quantity":1`, `"quantity":-1`), nil, 422, "validation", []string{"#/lines/0/quantity"}},
		{"fraction", with(`"quantity":1`, `"quantity":1.5`), nil, 422, "validation", []string{"#/lines/0/quantity"}},
		{"exponent that leaves a fraction", with(`"quantity":1`, `"quantity":15e-1`), nil, 422, "validation", []string{"#/lines/0/quantity"}},
		{"enormous exponent", with(`"quantity":1`, `"quantity":1e999999999`), nil, 422, "validation", []string{"#/lines/0/quantity"}},
		{"null", with(`"lines":[{"sku":"MUG","quantity":1}]`, `"lines":null`), nil, 422, "validation", []string{"#/lines"}},
		{"not UTF-8", with(`2 High Street`, "2 \xff Street"), nil, 400, "malformed_json", nil},
		{"half a surrogate pair", with(`2 High Street`, `2 \ud83d Street`), nil, 400, "malformed_json", nil},
		{"the wrong half", with(`2 High Street`, `2 \udc00\ud83d Street`), nil, 400, "malformed_json", nil},
		{"empty quoted key", order, []string{"Idempotency-Key", `""`}, 400, "idempotency_key_required", []string{"Idempotency-Key"}},
		{"SKU of dots", with(`"sku":"MUG"`, `"sku":".."`), nil, 422, "validation", []string{"#/lines/0/sku"}},
		{"text for a number", with(`"quantity":1`, `"quantity":"1"`), nil, 422, "validation", []string{"#/lines/0/quantity"}},
		{"no lines", with(`{"sku":"MUG","quantity":1}`, ``), nil, 422, "validation", []string{"#/lines"}},
		{"missing", with(`"currency":"GBP",`, ``), nil, 422, "validation", []string{"#/currency"}},
		{"NUL", with(`2 High Street`, `2 \u0000 Street`), nil, 422, "validation", []string{"#/ship_to/line1"}},
		{"NUL in a name", with(`"email"`, `"a\u0000b":1,"email"`), nil, 422, "validation", []string{`#/customer/a\u0000b`}},
		{"doubled", with(`"currency":"GBP"`, `"currency":"GBP","currency":"EUR"`), nil, 422, "validation", []string{"#/currency"}},
		{"card number", with(`tok_approve`, `4242 4242 4242 4242`), nil, 422, "card_number_refused", []string{"#/payment/token"}},
		{"card number in an unknown field", with(`"token"`, `"number":4242424242424242,"token"`), nil, 422, "card_number_refused", []string{"#/payment/number"}},
		{"2 MB", with(`2 High Street`, strings.Repeat("x", 2<<20)), nil, 413, "body_too_large", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := post(e, tt.body, tt.headers...)
			if tt.name == "empty" {
				w = post(e, "", "Content-Type", "")
			}
			var p openapi.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			var pointers []string
			if p.Errors != nil {
				for _, f := range *p.Errors {
					pointers = append(pointers, f.Pointer)
				}
			}
			if w.Code != tt.status || p.Status != tt.status || p.Code != tt.code || p.Type != "urn:daybook:problem:"+tt.code || !slices.Equal(pointers, tt.pointers) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if w.Header().Get("Content-Type") != "application/problem+json" || len(p.TraceId) != 32 {
				t.Errorf("headers %v, trace %q", w.Header(), p.TraceId)
			}
			if strings.Contains(strings.NewReplacer(" ", "", "-", "").Replace(w.Body.String()), "42424242") {
				t.Errorf("the card number is repeated: %s", w.Body)
			}
		})
	}
	if len(r.requests) != 0 {
		t.Errorf("%d requests came through", len(r.requests))
	}
}

func TestDigestIsOfWhatWasSent(t *testing.T) {
	e, r := serve(t)
	reordered := strings.Replace(strings.Replace(order, `"currency":"GBP",`, ``, 1), `"payment"`, `"currency" : "GBP", "payment"`, 1)
	other := strings.Replace(order, `"quantity":1`, `"quantity":2`, 1)
	for _, body := range []string{order, reordered, other} {
		if w := post(e, body, "Idempotency-Key", `"k"`); w.Code != http.StatusCreated {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	a, b, c := r.requests[0], r.requests[1], r.requests[2]
	if string(a.Digest) != string(b.Digest) || string(a.Digest) == string(c.Digest) || len(a.Digest) != 32 {
		t.Errorf("digests %x %x %x", a.Digest, b.Digest, c.Digest)
	}
	if a.CommandID("orders") != c.CommandID("orders") || a.CommandID("orders") == a.CommandID("order-x") || a.IdempotencyKey != "k" {
		t.Errorf("ids %v %v, key %q", a.CommandID("orders"), c.CommandID("orders"), a.IdempotencyKey)
	}
}

// Every route served is in openapi.yaml, and the other way round.
func TestRoutesAreTheSpecs(t *testing.T) {
	e, _ := serve(t)
	doc, err := api.LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	var served, specified []string
	for _, r := range e.Routes() {
		if !slices.Contains([]string{"/", "/openapi.yaml", "/openapi.json", "/asyncapi.yaml"}, r.Path) && !strings.HasPrefix(r.Path, "/docs") { // pages
			served = append(served, r.Method+" "+r.Path)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			specified = append(specified, method+" "+strings.NewReplacer("{", ":", "}", "").Replace(path))
		}
	}
	slices.Sort(served)
	slices.Sort(specified)
	served = slices.DeleteFunc(served, func(s string) bool { return strings.Contains(s, "echo_route_not_found") || strings.HasSuffix(s, "/*") })
	if !slices.Equal(served, specified) {
		t.Errorf("served    %v\nspecified %v", served, specified)
	}
}

// A whole surrogate pair, an escaped backslash before u, and U+FFFD as it is are text like any other.
func TestTextIsTakenAsItIs(t *testing.T) {
	e, r := serve(t)
	body := strings.Replace(order, "2 High Street", `\ud83d\ude00 \\ud83d \ufffd 😀`, 1)
	if w := post(e, body); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := r.bodies[0].ShipTo.Line1; got != "😀 \\ud83d \ufffd 😀" {
		t.Errorf("%q", got)
	}
}

// A whole number is one however it is written: JSON knows no other kind of number.
func TestWholeNumbersAreTakenInAnyForm(t *testing.T) {
	e, r := serve(t)
	for _, number := range []string{"12", "12.0", "12.000", "1.2e1", "1.2E+1", "120e-1", "0.12e2"} {
		if w := post(e, strings.Replace(order, `"quantity":1`, `"quantity":`+number, 1)); w.Code != http.StatusCreated {
			t.Fatalf("%s: %d %s", number, w.Code, w.Body)
		}
	}
	for i, body := range r.bodies {
		if body.Lines[0].Quantity != 12 || string(r.requests[i].Digest) != string(r.requests[0].Digest) {
			t.Errorf("%d came through as %d", i, body.Lines[0].Quantity)
		}
	}
	for _, number := range []string{"1e999999999", "1e-999999999", "-1e999999999", "9e18", "1e19", "99999999999999999999", "1." + strings.Repeat("0", 1000) + "1", "0.5", "1e99999999999999999999"} {
		if w := post(e, strings.Replace(order, `"quantity":1`, `"quantity":`+number, 1)); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", number, w.Code, w.Body)
		}
	}
}

// Texts are trimmed and in form C when an operation sees them; what differs in that is another request all the same.
func TestTextsAreCleanedAndTheDigestIsNot(t *testing.T) {
	e, r := serve(t)
	for _, line := range []string{"2 Café Street", " 2 Café Street\u00a0", "2 Cafe\u0301 Street"} {
		if w := post(e, strings.Replace(order, "2 High Street", line, 1)); w.Code != http.StatusCreated {
			t.Fatalf("%q: %d %s", line, w.Code, w.Body)
		}
	}
	for i, b := range r.bodies {
		if b.ShipTo.Line1 != "2 Café Street" || i > 0 && string(r.requests[i].Digest) == string(r.requests[0].Digest) {
			t.Errorf("%d: %q, digest %x", i, b.ShipTo.Line1, r.requests[i].Digest)
		}
	}
}

// A card's number in an address or a query is refused and not repeated.
func TestCardNumbersInAddresses(t *testing.T) {
	e, r := serve(t)
	for _, target := range []string{"/v1/orders/4111111111111111", "/v1/orders/card-4111-1111-1111-1111", "/v1/customers/378282246310005", "/v1/products/4111.1111.1111.1111", "/v1/orders?customer=4111111111111111"} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != 400 || !strings.Contains(w.Body.String(), "card_number") || strings.Contains(w.Body.String(), "1111") || strings.Contains(w.Body.String(), "10005") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if len(r.requests) != 0 {
		t.Errorf("%d requests came through", len(r.requests))
	}
}

func TestAddressesAndMethods(t *testing.T) {
	e, r := serve(t)
	body := httptest.NewRequest(http.MethodGet, "/v1/orders", strings.NewReader("{}"))
	body.ContentLength = -1 // in chunks
	w := httptest.NewRecorder()
	if e.ServeHTTP(w, body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"unexpected_body"`) {
		t.Errorf("a query with a body: %d %s", w.Code, w.Body)
	}
	for _, tt := range []struct {
		method, target string
		status         int
		code           string
	}{
		{"DELETE", "/v1/orders", 405, "method_not_allowed"},
		{"PUT", "/v1/orders/o1", 405, "method_not_allowed"},
		{"GET", "/v1/nothing", 404, "route_not_found"},
		{"GET", "/v1/products/MUG/nothing", 404, "route_not_found"},
		{"GET", "/v1/products/MUG%2Fx/nothing", 404, "route_not_found"},
		{"GET", "/v1/products/%2Fa%00", 400, "malformed_parameter"},
		{"GET", "/v1/products/" + strings.Repeat("%2F", 65), 400, "malformed_parameter"},
		{"GET", "/v1/products/%ff", 400, "malformed_parameter"},
		{"GET", "/v1/products/", 404, "route_not_found"},
		{"GET", "/v1/orders/o1/timeline/", 404, "route_not_found"},
		{"GET", "//v1/orders", 404, "route_not_found"},
		{"GET", "/v1/orders?as_of=2011-01-01T00:00:00+01:00", 400, "bad_time"},
		{"GET", "/v1/orders?as_of=2011-01-01T00:00:00,5Z", 400, "bad_time"},
		{"GET", "/v1/orders?limit=1.0", 400, "malformed_parameter"},
		{"GET", "/v1/orders?limit=%zz", 400, "malformed_parameter"},
		{"GET", "/v1/orders?as_of=2011-01-01T00:00:00Z&as_of=2012-01-01T00:00:00Z", 400, "malformed_parameter"},
	} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, nil))
		if !strings.Contains(w.Body.String(), `"`+tt.code+`"`) || w.Code != tt.status {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, w.Code, w.Body)
		}
	}
	if len(r.requests) != 0 {
		t.Errorf("%d requests came through", len(r.requests))
	}
}

// Every operation that changes something needs a key, by the document and in fact; and none takes what a form of a web page
// can send, with a body or without.
func TestEveryCommandNeedsAKeyAndJSON(t *testing.T) {
	e, r := serve(t)
	doc, err := api.LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if method == http.MethodGet {
				continue
			}
			n++
			p := append(slices.Clone(item.Parameters), op.Parameters...).GetByInAndName("header", "Idempotency-Key")
			if p == nil || !p.Required {
				t.Errorf("%s does not need an Idempotency-Key", op.OperationID)
			}
			at := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "x")
			for _, c := range []struct {
				body, key, mediaType, encoding string
				status                         int
				code                           string
			}{
				{"{}", "", "application/json", "", 400, "idempotency_key_required"},
				{"", "", "", "", 400, "idempotency_key_required"},
				{"{}", `""`, "application/json", "", 400, "idempotency_key_required"},
				{"", "k", "text/plain", "", 415, "unsupported_media_type"},
				{"{}", "k", "text/plain", "", 415, "unsupported_media_type"},
				{"", "k", "application/x-www-form-urlencoded", "", 415, "unsupported_media_type"},
				{"", "k", "multipart/form-data; boundary=x", "", 415, "unsupported_media_type"},
				{"{}", "k", "", "", 415, "unsupported_media_type"},
				{"{}", "k", "application/json; charset=utf-16", "", 415, "unsupported_media_type"},
				{"{}", "k", "application/json", "gzip", 415, "unsupported_encoding"},
			} {
				req := httptest.NewRequest(method, at, strings.NewReader(c.body))
				for name, value := range map[string]string{"Idempotency-Key": c.key, "Content-Type": c.mediaType, "Content-Encoding": c.encoding} {
					if value != "" {
						req.Header.Set(name, value)
					}
				}
				w := httptest.NewRecorder()
				e.ServeHTTP(w, req)
				if w.Code != c.status || !strings.Contains(w.Body.String(), `"`+c.code+`"`) {
					t.Errorf("%s with %+v: %d %s", op.OperationID, c, w.Code, w.Body)
				}
			}
		}
	}
	if n < 7 || len(r.requests) != 0 {
		t.Errorf("%d operations, and %d requests came through", n, len(r.requests))
	}
}

// A header that may stand once is refused twice, and lists go on over several lines.
func TestRepeatedHeaders(t *testing.T) {
	for _, c := range []struct {
		lines  [][2]string
		status int
	}{
		{[][2]string{{"Idempotency-Key", "a"}, {"Idempotency-Key", "a"}}, 400},
		{[][2]string{{"Idempotency-Key", "a"}, {"Content-Type", "application/json"}, {"Content-Type", "text/plain"}}, 400},
		{[][2]string{{"Idempotency-Key", "a"}, {"Prefer", "respond-async"}, {"Prefer", "wait=5"}}, 201},
		{[][2]string{{"Idempotency-Key", "a"}, {"If-Match", `"0-1"`}, {"If-Match", `"3-17"`}}, 201},
		{[][2]string{{"Idempotency-Key", "a"}, {"If-Match", `0-1`}}, 201}, // which placing an order does not have
		{[][2]string{{"Idempotency-Key", "a"}, {"If-None-Match", "*"}, {"Expect", "100-continue"}, {"TE", "trailers"}, {"Range", "bytes=0-1"}}, 201},
		{[][2]string{{"Idempotency-Key", "a"}, {"Prefer", strings.Repeat("x", 1025)}}, 400},
		{[][2]string{{"Idempotency-Key", "a"}, {"Content-Type", "Application/Json; Charset=UTF-8"}}, 201},
		{[][2]string{{"Idempotency-Key", "a"}, {"Accept", "text/html"}}, 406},
	} {
		e, r := serve(t)
		req := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(order))
		for _, l := range c.lines {
			req.Header.Add(l[0], l[1])
		}
		if req.Header.Get("Content-Type") == "" {
			req.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, req)
		if w.Code != c.status {
			t.Errorf("%v: %d %s", c.lines, w.Code, w.Body)
			continue
		}
		if strings.Contains(fmt.Sprint(c.lines), "wait=5") && r.requests[0].Wait != 5*time.Second {
			t.Errorf("%v: waits %s", c.lines, r.requests[0].Wait)
		}
	}
}

// Allow names every method, and the answer to a preflight lets no page in.
func TestAllowNamesEveryMethod(t *testing.T) {
	e, _ := serve(t)
	for _, c := range []struct {
		method, target, allow string
		status                int
	}{
		{"DELETE", "/v1/orders", "OPTIONS, GET, HEAD, POST", 405},
		{"PUT", "/v1/products/MUG", "OPTIONS, GET, HEAD, PATCH", 405},
		{"GET", "/v1/orders/o1/cancel", "OPTIONS, POST", 405},
		{"HEAD", "/v1/orders/o1/cancel", "OPTIONS, POST", 405},
		{"TRACE", "/v1/orders/o1", "OPTIONS, GET, HEAD", 405},
		{"OPTIONS", "/v1/orders", "OPTIONS, GET, HEAD, POST", 204},
		{"OPTIONS", "/v1/nothing", "", 404},
	} {
		w := httptest.NewRecorder()
		req := httptest.NewRequest(c.method, c.target, nil)
		req.Header.Set("Access-Control-Request-Method", "POST")
		api.HeadAsGet(e).ServeHTTP(w, req)
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.target, w.Code, w.Header().Get("Allow"))
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s %s: %s: %s", c.method, c.target, name, w.Header().Get(name))
			}
		}
	}
}

// An empty If-Match states no condition; to pass it over would change what its sender wanted to protect.
func TestEmptyIfMatchIsRefused(t *testing.T) {
	for _, c := range [][3]string{
		{"PATCH", "/v1/products/MUG", `{"name":"Mug"}`}, {"POST", "/v1/stock/MUG/receipts", `{"id":"r","quantity":1}`},
		{"POST", "/v1/stock/MUG/adjustments", `{"change":1,"reason":"found"}`}, {"POST", "/v1/orders/o1/cancel", `{}`},
	} {
		for _, empty := range []string{"", " ", ",", " , "} {
			e, r := serve(t)
			req := httptest.NewRequest(c[0], c[1], strings.NewReader(c[2]))
			req.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"a"}, "If-Match": {empty}}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, req)
			if w.Code != 400 || !strings.Contains(w.Body.String(), `"If-Match"`) || len(r.requests) != 0 {
				t.Errorf("%s %s with %q: %d %s", c[0], c[1], empty, w.Code, w.Body)
			}
		}
	}
}

func TestAdjustmentOfNothingIsRefused(t *testing.T) {
	for _, change := range []string{"0", "-0", "0.0", "0e5"} {
		e, _ := serve(t)
		req := httptest.NewRequest(http.MethodPost, "/v1/stock/MUG/adjustments", strings.NewReader(`{"change":`+change+`,"reason":"none"}`))
		req.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"a"}}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, req)
		if w.Code != 422 || !strings.Contains(w.Body.String(), `"#/change"`) {
			t.Errorf("%s: %d %s", change, w.Code, w.Body)
		}
	}
}
