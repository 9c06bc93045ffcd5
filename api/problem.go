package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/es"
)

// Problem is an error that a caller may see (RFC 9457).
type Problem struct {
	Status int
	Code   es.Code
	Title  string
	Detail string
	Errors []openapi.FieldError
	// RetryAfter is in seconds; 0: the header is not sent.
	RetryAfter int
	// Header has further headers of the answer.
	Header http.Header
	// Quote is the current quote, where the expected total differs.
	Quote *openapi.Quote
	// Event is the event that this program cannot read.
	Event *es.UnreadableError
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// NewProblem returns a problem by its code, which determines status and title.
func NewProblem(code es.Code, format string, args ...any) *Problem {
	k := kindOf(code)
	return &Problem{Status: k.status, Code: code, Title: k.title, Detail: clip(fmt.Sprintf(format, args...), longestDetail)}
}

// At adds an invalid field.
func (p *Problem) At(pointer string, code, format string, args ...any) *Problem {
	p.Errors = append(p.Errors, openapi.FieldError{Pointer: clip(pointer, longestPointer), Code: code, Detail: clip(fmt.Sprintf(format, args...), longestDetail)})
	return p
}

type kind struct {
	status int
	title  string
}

// kinds has the codes whose status is not 409, and those that need a title. Any other rejection is a conflict of state.
var kinds = map[es.Code]kind{
	"malformed_json":           {400, "Malformed JSON"},
	"malformed_parameter":      {400, "Malformed parameter"},
	"unknown_parameter":        {400, "Unknown parameter"},
	"idempotency_key_required": {400, "Idempotency-Key required"},
	"bad_time":                 {400, "Invalid time"},
	"bad_cursor":               {400, "Invalid cursor"},
	"bad_range":                {400, "Invalid range"},
	"not_found":                {404, "Not found"},
	"not_found_at":             {404, "Not found at that time"},
	"route_not_found":          {404, "Not found"},
	"product_not_found":        {404, "Product not found"},
	"stock_not_found":          {404, "Stock not found"},
	"order_not_found":          {404, "Order not found"},
	"customer_not_found":       {404, "Customer not found"},
	"host_not_served":          {421, "Host not served"},
	"cross_origin":             {403, "Cross-origin request refused"},
	"malformed_request":        {400, "Malformed request"},
	"unexpected_body":          {400, "Unexpected body"},
	"headers_too_large":        {431, "Headers too large"},
	"not_acceptable":           {406, "Not acceptable"},
	"method_not_allowed":       {405, "Method not allowed"},
	"body_too_slow":            {408, "Request timeout"},
	"precondition_failed":      {412, "Precondition failed"},
	"body_too_large":           {413, "Body too large"},
	"unsupported_encoding":     {415, "Unsupported content encoding"},
	"unsupported_media_type":   {415, "Unsupported media type"},
	"validation":               {422, "Validation failed"},
	"idempotency_key_reused":   {422, "Idempotency-Key reused"},
	"card_number_refused":      {422, "Card number refused"},
	"unknown_sku":              {422, "Unknown SKU"},
	"unknown_customer":         {422, "Unknown customer"},
	"discontinued":             {422, "Product discontinued"},
	"no_price":                 {422, "No price in this currency"},
	"unknown_currency":         {422, "Unknown currency"},
	"unknown_region":           {422, "Region required"},
	"unknown_shipping_method":  {422, "Unknown shipping method"},
	"not_shipped_there":        {422, "Destination not served"},
	"unknown_tax_class":        {422, "Unknown tax class"},
	"order_invalid":            {422, "Invalid order"},
	"product_invalid":          {422, "Invalid product"},
	"stock_invalid":            {422, "Invalid stock"},
	"customer_invalid":         {422, "Invalid customer"},
	"too_many_streams":         {429, "Too many event streams"},
	"request_cancelled":        {statusCancelled, "Request cancelled"},
	"price_changed":            {409, "Price changed"},
	"conflict":                 {409, "Concurrent change"},
	"internal":                 {500, "Internal error"},
	"unavailable":              {503, "Unavailable"},
	"not_yet":                  {503, "Read model behind"},
	"rebuilding":               {503, "Read model rebuilding"},
	"newer_version":            {503, "Newer program required"},
	"unreadable_event":         {503, "Unreadable event"},
	"outcome_unknown":          {504, "Outcome unknown"},
}

// statusCancelled is counted where the caller has closed the connection before its answer, so that this is no error of the server. RFC
// 9110 has none; 499 is what nginx logs.
const statusCancelled = 499

// Cancelled is the problem of a request whose caller has closed the connection; nil while it waits.
func Cancelled(r *http.Request) *Problem {
	if !errors.Is(context.Cause(r.Context()), context.Canceled) {
		return nil
	}
	return NewProblem("request_cancelled", "the connection was closed before the answer")
}

func kindOf(code es.Code) kind {
	if k, ok := kinds[code]; ok {
		return k
	}
	return kind{http.StatusConflict, "Conflict with the current state"}
}

// AsProblem maps every error to a problem: its own, those of echo, and refusals of the shop (shop.RefusalOf).
func AsProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		return ofHTTP(h)
	}
	return refused(shop.RefusalOf(err))
}

// refused maps a refusal. A field of the body is named by its JSON pointer, a parameter by its name.
func refused(r *shop.Refusal) *Problem {
	p := NewProblem(r.Code, "%s", r.Detail)
	p.RetryAfter, p.Quote, p.Event = r.Retry, quoteOf(r.Quote), r.Event
	for _, f := range r.Faults {
		at := f.Field
		if strings.HasPrefix(at, "/") {
			at = "#" + at
		}
		p.At(at, f.Code, "%s", f.Detail)
	}
	return p
}

func ofHTTP(h *echo.HTTPError) *Problem {
	switch h.Code {
	case http.StatusNotFound:
		return NewProblem("route_not_found", "there is nothing at this address")
	case http.StatusMethodNotAllowed:
		return NewProblem("method_not_allowed", "this address does not take this method")
	case http.StatusRequestEntityTooLarge:
		return NewProblem("body_too_large", "a body may have 1 MB")
	case http.StatusUnsupportedMediaType:
		return NewProblem("unsupported_media_type", "send application/json")
	case http.StatusBadRequest:
		return NewProblem("malformed_parameter", "%v", h.Message)
	}
	return &Problem{Status: h.Code, Code: "internal", Title: http.StatusText(h.Code), Detail: http.StatusText(h.Code)}
}

// Write sends the problem.
func (p *Problem) Write(w http.ResponseWriter, traceID string) error {
	maps.Copy(w.Header(), p.Header)
	w.Header().Set("Content-Type", "application/problem+json")
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	return json.NewEncoder(w).Encode(p.body(traceID))
}

func (p *Problem) body(traceID string) openapi.Problem {
	body := openapi.Problem{
		Type: "urn:daybook:problem:" + string(p.Code), Title: p.Title, Status: p.Status,
		Code: string(p.Code), Detail: p.Detail, Quote: p.Quote, TraceId: traceID,
	}
	if len(p.Errors) > 0 {
		body.Errors = &p.Errors
	}
	if e := p.Event; e != nil {
		if body.EventType = &e.Type; e.Version > 0 {
			body.EventVersion = &e.Version
		}
	}
	return body
}

// Unread is the problem of a request that net/http could not parse.
func Unread(status int, detail string) (mediaType string, body []byte) {
	code := es.Code("malformed_request")
	if status == http.StatusRequestHeaderFieldsTooLarge {
		code = "headers_too_large"
	}
	p := NewProblem(code, "the request cannot be read: %s", detail)
	p.Status = status
	body, err := json.Marshal(p.body(newTrace()))
	if err != nil { // texts
		panic(err)
	}
	return "application/problem+json", body
}

// Refuse answers a request that package webguard refuses.
func Refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	p := NewProblem(es.Code(code), "%s", detail)
	p.Status = status
	_ = p.Write(w, TraceID(r)) // the client has gone
}
