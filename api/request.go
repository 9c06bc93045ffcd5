package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"net/url"
	"strconv"

	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/projection"
)

// Request is what every operation knows of its request, beside what is decoded for it.
type Request struct {
	shop.Request

	Client   string         // the address that it came from
	Ask      projection.Ask // how far a query waits, and the moment it asks about
	Page     shop.Page      // of a list
	Waits    bool           // Prefer asked for the outcome
	TraceID  string
	HeadOnly bool // nobody will read the body

	query url.Values
}

// OtherQuery is the request's query string without one parameter, ready for another to follow: "a=b&".
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

// RequestOf gives the request that ctx belongs to.
func RequestOf(ctx context.Context) Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return *r
	}
	return Request{}
}

// digest is of what was sent, before anything is looked up or filled in. The key is the installation's, so that the log
// does not give away what a short body said.
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
