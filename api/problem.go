package api

import (
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
	// RetryAfter asks to come back after so many seconds; 0: says nothing.
	RetryAfter int
	// Header are further headers of the answer.
	Header http.Header
	// Quote is what the order comes to now, for a caller who expected another total.
	Quote *openapi.Quote
	// Event is what this program cannot read.
	Event *es.UnreadableError
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// NewProblem gives a problem by its code; Titles knows its title and status.
func NewProblem(code es.Code, format string, args ...any) *Problem {
	k := kindOf(code)
	return &Problem{Status: k.status, Code: code, Title: k.title, Detail: clip(fmt.Sprintf(format, args...), longestDetail)}
}

// At adds the field that is at fault.
func (p *Problem) At(pointer string, code, format string, args ...any) *Problem {
	p.Errors = append(p.Errors, openapi.FieldError{Pointer: clip(pointer, longestPointer), Code: code, Detail: clip(fmt.Sprintf(format, args...), longestDetail)})
	return p
}

type kind struct {
	status int
	title  string
}

// kinds are the problems whose status is not 409: every other refusal of a command is a conflict of state.
var kinds = map[es.Code]kind{
	"malformed_json":           {400, "The body is not JSON"},
	"malformed_parameter":      {400, "A parameter cannot be read"},
	"unknown_parameter":        {400, "There is no such parameter"},
	"idempotency_key_required": {400, "An Idempotency-Key is required"},
	"bad_time":                 {400, "The time cannot be used"},
	"bad_cursor":               {400, "The cursor cannot be used"},
	"bad_range":                {400, "The range cannot be used"},
	"not_found":                {404, "There is no such thing"},
	"not_found_at":             {404, "It did not exist then"},
	"route_not_found":          {404, "There is no such address"},
	"product_not_found":        {404, "There is no such product"},
	"stock_not_found":          {404, "There is no such stock"},
	"order_not_found":          {404, "There is no such order"},
	"customer_not_found":       {404, "There is no such customer"},
	"host_not_served":          {421, "This server has another name"},
	"cross_origin":             {403, "Not from a page of another site"},
	"malformed_request":        {400, "The request cannot be read"},
	"unexpected_body":          {400, "No body is taken here"},
	"headers_too_large":        {431, "The headers are too large"},
	"not_acceptable":           {406, "There is no such form of it"},
	"method_not_allowed":       {405, "The address does not take this method"},
	"body_too_slow":            {408, "The body is too slow"},
	"precondition_failed":      {412, "It has changed since"},
	"body_too_large":           {413, "The body is too large"},
	"unsupported_encoding":     {415, "The body may not be encoded"},
	"unsupported_media_type":   {415, "The body must be application/json"},
	"validation":               {422, "The request is not valid"},
	"idempotency_key_reused":   {422, "The key was used for another request"},
	"card_number_refused":      {422, "Card numbers are not taken"},
	"unknown_sku":              {422, "There is no such SKU"},
	"unknown_customer":         {422, "There is no such customer"},
	"discontinued":             {422, "A product is discontinued"},
	"no_price":                 {422, "A product is not sold in this currency"},
	"unknown_currency":         {422, "Nothing is sold in this currency"},
	"unknown_region":           {422, "The region is needed for the tax"},
	"unknown_shipping_method":  {422, "There is no such shipping method"},
	"not_shipped_there":        {422, "Not shipped there that way"},
	"unknown_tax_class":        {422, "The tax is not known"},
	"order_invalid":            {422, "The order is not valid"},
	"product_invalid":          {422, "The product is not valid"},
	"stock_invalid":            {422, "The stock is not valid"},
	"customer_invalid":         {422, "The customer is not valid"},
	"too_many_streams":         {429, "Too many event streams"},
	"price_changed":            {409, "The total is another"},
	"conflict":                 {409, "It kept changing; try again"},
	"internal":                 {500, "Something went wrong here"},
	"unavailable":              {503, "Not available just now"},
	"not_yet":                  {503, "Not that far yet"},
	"rebuilding":               {503, "Being rebuilt"},
	"newer_version":            {503, "A newer program is needed"},
	"unreadable_event":         {503, "An event cannot be read"},
	"outcome_unknown":          {504, "The outcome is not known"},
}

func kindOf(code es.Code) kind {
	if k, ok := kinds[code]; ok {
		return k
	}
	return kind{http.StatusConflict, "The request conflicts with the state of things"}
}

// AsProblem is where errors become problems: what the shop refuses in its words (shop.RefusalOf), the rest in ours.
func AsProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		return ofHTTP(h)
	}
	return refused(shop.RefusalOf(err))
}

// refused is a refusal as a problem. A field of the body is named by its pointer, what was asked beside it by its name.
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

// Unread is the problem of a request that net/http could not make one of.
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

// Refuse answers what is not let in, as package webguard has it.
func Refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	p := NewProblem(es.Code(code), "%s", detail)
	p.Status = status
	_ = p.Write(w, TraceID(r)) // the client has gone
}
