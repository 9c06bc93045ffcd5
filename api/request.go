package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"net/url"
	"strconv"

	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Request is the context of an operation, beside its decoded input.
type Request struct {
	shop.Request

	Client   string    // address of the caller
	Ask      query.Ask // of a query: minimum position and moment
	Page     shop.Page // of a query that lists
	Waits    bool      // Prefer was given with wait
	TraceID  string
	HeadOnly bool // HEAD: the body is not sent

	query url.Values
}

// OtherQuery is the query string without one parameter, with a separator at its end: "a=b&".
func (r Request) OtherQuery(without string) string {
	others := url.Values{}
	for name, values := range r.query {
		if name != without {
			others[name] = values
		}
	}
	if len(others) == 0 {
		return ""
	}
	return others.Encode() + "&"
}

type requestKey struct{}

// RequestOf returns the request of ctx.
func RequestOf(ctx context.Context) Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return *r
	}
	return Request{}
}

// digest identifies the request as sent. It is keyed with the installation key, so that a short body cannot be guessed from the log.
func digest(key []byte, operation, path string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(operation + "\n" + path + "\n"))
	m.Write(body)
	return m.Sum(nil)
}

// ETag writes one.
func ETag(revision, position uint64) string {
	return `"` + strconv.FormatUint(revision, 10) + "-" + strconv.FormatUint(position, 10) + `"`
}

// Position writes a position as callers see it: opaque.
func Position(p uint64) string { return strconv.FormatUint(p, 10) }
