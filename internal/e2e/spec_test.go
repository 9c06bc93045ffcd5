package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/apitest"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// shop is a system that runs, and a client that holds every answer of its API to openapi.yaml.
type shop struct {
	*testenv.Process

	c    *testenv.Client
	spec *specified
}

func openShop(t *testing.T, o testenv.Options) *shop {
	t.Helper()
	s := &shop{Process: testenv.Start(t, o)}
	doc, err := api.LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	t.Cleanup(transport.CloseIdleConnections)
	order, err := apitest.FieldOrder()
	if err != nil {
		t.Fatal(err)
	}
	s.spec = &specified{t: t, doc: doc, order: order, next: transport, seen: map[string]bool{}}
	s.c = &testenv.Client{Base: s.API, HTTP: &http.Client{Transport: s.spec, Timeout: time.Minute}}
	return s
}

// onlineRetailHeader is the first line of every file of that data set.
const onlineRetailHeader = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"

// stock adds a product at 10.00 and receives units of it.
func (s *shop) stock(t *testing.T, sku string, units int) {
	t.Helper()
	s.c.Post(t, 201, "/v1/products", "add-"+sku, fmt.Sprintf(`{"sku":%q,"name":"Thing","prices":{"GBP":1000}}`, sku))
	if units > 0 {
		s.c.Post(t, 201, "/v1/stock/"+url.PathEscape(sku)+"/receipts", "receive-"+sku, fmt.Sprintf(`{"id":"R1","quantity":%d}`, units))
	}
}

func (s *shop) do(t *testing.T, method, path, body string, headers ...string) testenv.Answer {
	t.Helper()
	a, err := s.c.Do(t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// problem is what an error's body says.
type problem struct {
	Code, Detail string
	TraceID      string `json:"trace_id"`
	Errors       []struct{ Pointer, Code string }
}

// refused asks for something that does not exist.
func (s *shop) refused(t *testing.T, status int, code, method, path, body string, headers ...string) (p problem) {
	t.Helper()
	a := s.do(t, method, path, body, headers...)
	if a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
		return p
	}
	a.Into(t, &p)
	if a.Status != status || p.Code != code {
		t.Errorf("%s %s: %d %s, want %d %s", method, path, a.Status, a.Body, status, code)
	}
	return p
}

// placed is an order as the API shows it.
type placed struct {
	ID, Number, Status, Position string
	Total, Revision              int64
	Lines                        []struct {
		SKU                       string
		Quantity, Open, Cancelled int64
	}
	Payment struct {
		Status                         string
		Authorised, Captured, Refunded int64
		Action                         *struct{ Type, URL string }
	}
	Rejection *struct {
		Code, Detail string
		DeclineCode  string `json:"decline_code"`
		Lines        []struct {
			Line                 int
			SKU                  string
			Requested, Available int64
		}
	}
}

func (o placed) String() string { return fmt.Sprintf("%s %s %s", o.ID, o.Status, o.Payment.Status) }

func (s *shop) order(t *testing.T, id string) (o placed) {
	t.Helper()
	s.c.Get(t, "/v1/orders/"+id).Into(t, &o)
	return o
}

// until asks for an order until it is as it should be.
func (s *shop) until(t *testing.T, id, what string, is func(placed) bool) placed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for {
		var o placed
		if a := s.do(t, "GET", "/v1/orders/"+id, ""); a.Status == http.StatusOK { // else it cannot be seen yet
			a.Into(t, &o)
		}
		if is(o) {
			return o
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s never came to be %s: %+v", id, what, o)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func (s *shop) ended(t *testing.T, id string) placed {
	t.Helper()
	return s.until(t, id, "at rest", func(o placed) bool { return o.Status != "" && o.Status != "placed" && o.Status != "cancelling" })
}

// end is how far the orders' list has come.
func (s *shop) end(t *testing.T) string {
	t.Helper()
	return s.c.Get(t, "/v1/orders?limit=1").Position()
}

// quiet waits until nothing is written any more, and gives the end of the log.
func (s *shop) quiet(t *testing.T) string {
	t.Helper()
	for {
		before := s.end(t)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("never quiet")
		}
		if s.end(t) == before {
			return before
		}
	}
}

// items reads all pages of a list.
func items(t *testing.T, c *testenv.Client, path string) (all []json.RawMessage) {
	t.Helper()
	cursor := ""
	for {
		var page struct {
			Items []json.RawMessage
			Next  *string
		}
		c.Get(t, path+cursor).Into(t, &page)
		all = append(all, page.Items...)
		if page.Next == nil {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Next)
	}
}

// specified is a transport that holds what comes back to openapi.yaml: status, headers, body, the order of its fields, and
// nothing beside them.
type specified struct {
	t     *testing.T
	doc   *openapi3.T
	order apitest.Order
	next  http.RoundTripper

	mu   sync.Mutex
	seen map[string]bool // "operation status"
}

// plainHeaders may stand in any answer.
var plainHeaders = []string{"Content-Type", "Content-Length", "Date", "Allow", "Cache-Control", "X-Accel-Buffering", "Vary"}

func (s *specified) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := s.next.RoundTrip(req)
	if err != nil || !strings.HasPrefix(req.URL.Path, "/v1/") {
		return res, err
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: s.route(req)},
		Status:                 res.StatusCode, Header: res.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	op := input.RequestValidationInput.Route.Operation
	if res.StatusCode >= http.StatusBadRequest && op.OperationID != "none" && op.Responses.Status(res.StatusCode) == nil {
		s.t.Errorf("%s %s: %s may not be answered with %d", req.Method, req.URL, op.OperationID, res.StatusCode)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		input.Options.ExcludeResponseBody = true
	} else {
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil {
			return res, err
		}
		input.SetBodyBytes(body)
		if req.Method != http.MethodHead {
			s.nothingElse(req, op, res, body)
		}
	}
	if err := openapi3filter.ValidateResponse(req.Context(), input); err != nil {
		s.t.Errorf("%s %s is not as openapi.yaml says: %v", req.Method, req.URL, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[fmt.Sprint(op.OperationID, " ", res.StatusCode)] = true
	return res, nil
}

// route is the operation that a request is of; what is of none is answered with a problem.
func (s *specified) route(req *http.Request) *routers.Route {
	method := req.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(req.URL.EscapedPath(), "/")
	for path, item := range s.doc.Paths.Map() {
		parts := strings.Split(path, "/")
		if slices.EqualFunc(parts, segments, func(p, g string) bool { return p == g || strings.HasPrefix(p, "{") }) {
			if op := item.GetOperation(method); op != nil {
				return &routers.Route{Spec: s.doc, Path: path, PathItem: item, Method: method, Operation: op}
			}
		}
	}
	none := &openapi3.Operation{OperationID: "none", Responses: openapi3.NewResponses(openapi3.WithName("default", s.doc.Components.Responses["Problem"].Value))}
	return &routers.Route{Spec: s.doc, PathItem: &openapi3.PathItem{}, Method: method, Operation: none}
}

// nothingElse finds headers and members that openapi.yaml does not have.
func (s *specified) nothingElse(req *http.Request, op *openapi3.Operation, res *http.Response, body []byte) {
	ref := op.Responses.Status(res.StatusCode)
	if ref == nil {
		ref = op.Responses.Default()
	}
	for name := range res.Header {
		known := slices.ContainsFunc(plainHeaders, func(h string) bool { return strings.EqualFold(h, name) })
		for documented := range ref.Value.Headers {
			known = known || strings.EqualFold(documented, name)
		}
		if !known {
			s.t.Errorf("%s %s: the header %s is not in openapi.yaml", req.Method, req.URL, name)
		}
	}
	media := ref.Value.Content.Get(res.Header.Get("Content-Type"))
	var v any
	if err := json.Unmarshal(body, &v); err != nil || media == nil {
		s.t.Errorf("%s %s: %d %s %v", req.Method, req.URL, res.StatusCode, body, err)
		return
	}
	s.members(req, media.Schema.Value, v, "")
	if err := s.order.Check(strings.TrimPrefix(media.Schema.Ref, "#/components/schemas/"), body); err != nil {
		s.t.Errorf("%s %s is not in openapi.yaml's order: %v in %s", req.Method, req.URL, err, body)
	}
}

func (s *specified) members(req *http.Request, schema *openapi3.Schema, v any, at string) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			switch property := schema.Properties[name]; {
			case property != nil:
				s.members(req, property.Value, member, at+"/"+name)
			case schema.AdditionalProperties.Schema == nil:
				s.t.Errorf("%s %s: %s/%s is not in openapi.yaml", req.Method, req.URL, at, name)
			}
		}
	case []any:
		for _, item := range v {
			s.members(req, schema.Items.Value, item, at+"/…")
		}
	}
}
