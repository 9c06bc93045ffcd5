package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"net/url"
	"strconv"
	"strings"

	"github.com/daybook-dev/daybook/internal/es"
)

// Request is what every operation knows of its request, beside what is decoded for it.
type Request struct {
	Actor          es.Actor
	Operation      string // operationId of openapi.yaml
	IdempotencyKey string // without quotes; "" if there is none
	Digest         []byte // HMAC of operation, path and body as sent
	Traceparent    string
	TraceID        string
	HeadOnly       bool // nobody will read the body

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
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

func withRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// CommandID identifies what the caller asks for: resource is the target stream where the caller names it, else the collection.
// Without an Idempotency-Key every request is its own.
func (r Request) CommandID(resource string) es.UUID {
	key := "key:" + r.IdempotencyKey
	if r.IdempotencyKey == "" {
		key = "trace:" + r.Traceparent
	}
	return es.CommandID(r.Actor.Kind+":"+r.Actor.ID, r.Operation, resource, key)
}

// Call is how a command is asked for on behalf of this request. Nothing led to it but the request: it is its own cause.
func (r Request) Call(resource string) es.Call {
	id := r.CommandID(resource)
	return es.Call{ID: id, Digest: r.Digest, Causation: id.String(), Actor: r.Actor, Traceparent: r.Traceparent}
}

// digest is of what was sent, before anything is looked up or filled in. The key is the installation's, so that the log
// does not give away what a short body said.
func digest(key []byte, operation, path string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(operation + "\n" + path + "\n"))
	m.Write(body)
	return m.Sum(nil)
}

// IfMatch reads the revision of an ETag, `"<revision>-<position>"`; nil if none was sent or any will do.
func IfMatch(header *string) (*uint64, error) {
	if header == nil || strings.TrimSpace(*header) == "*" {
		return nil, nil //nolint:nilnil // no condition, and no mistake
	}
	revision, position, ok := strings.Cut(strings.Trim(strings.TrimSpace(*header), `"`), "-")
	n, err := strconv.ParseUint(revision, 10, 63)
	if err == nil {
		_, err = strconv.ParseUint(position, 10, 63) // so several of them are not taken for the first
	}
	if !ok || err != nil {
		return nil, NewProblem("malformed_parameter", "If-Match is not an ETag of this API").At("If-Match", "format", `must be "<revision>-<position>"`)
	}
	return &n, nil
}

// ETag writes one.
func ETag(revision, position uint64) string {
	return `"` + strconv.FormatUint(revision, 10) + "-" + strconv.FormatUint(position, 10) + `"`
}

// Position writes a position as callers see it: opaque.
func Position(p uint64) string { return strconv.FormatUint(p, 10) }
