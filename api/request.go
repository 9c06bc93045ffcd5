package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Request is what every operation knows of its request, beside what is decoded for it.
type Request struct {
	Actor          es.Actor
	Client         string // the address that it came from
	Operation      string // operationId of openapi.yaml
	IdempotencyKey string // without quotes
	IfMatch        *es.Condition
	Wait           time.Duration // asked for by Prefer
	Waits          bool          // it was asked for
	Digest         []byte        // HMAC of operation, path and body as sent
	Traceparent    string
	TraceID        string
	HeadOnly       bool // nobody will read the body

	query url.Values
	key   []byte // the installation's
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

// CommandID identifies what the caller asks for: resource is the target stream where the caller names it, else the collection.
func (r Request) CommandID(resource string) es.UUID {
	return es.CommandID(r.caller(), r.Operation, resource, "key:"+r.IdempotencyKey)
}

// Who gives identities, and whose shop it is, as long as there are no tokens that say so.
const (
	issuer = "daybook"
	tenant = "default"
)

// caller is who asks, as a JSON array: no two callers are the same, whatever their names.
func (r Request) caller() string {
	b, err := json.Marshal([]string{issuer, tenant, r.Actor.Kind, r.Actor.ID})
	if err != nil { // texts
		panic(err)
	}
	return string(b)
}

// Choose gives what the server chooses for a command, an id for one: the same for its repeat, and nothing that others could compute.
func (r Request) Choose(what string, command es.UUID) []byte {
	m := hmac.New(sha256.New, r.key)
	m.Write([]byte("\x00chosen\x00" + what + "\x00" + command.String())) // no operation begins so: it is no digest
	return m.Sum(nil)
}

// Call is how a command is asked for on behalf of this request. Nothing led to it but the request: it is its own cause.
func (r Request) Call(resource string) es.Call {
	id := r.CommandID(resource)
	return es.Call{ID: id, Digest: r.Digest, Causation: id.String(), Actor: r.Actor, IfMatch: r.IfMatch, Traceparent: r.Traceparent}
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
