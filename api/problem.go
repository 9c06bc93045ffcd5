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

// Cancelled is the problem of a request whose caller has closed the connection; nil while it waits.
func Cancelled(r *http.Request) *Problem {
	if !errors.Is(context.Cause(r.Context()), context.Canceled) {
		return nil
	}
	return NewProblem("request_cancelled", "the connection was closed before the answer")
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
