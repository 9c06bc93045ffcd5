package shop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Request is who asks for a command, and how a repeat of it is known.
type Request struct {
	Actor          es.Actor
	Operation      string // operationId of openapi.yaml
	IdempotencyKey string
	IfMatch        *es.Condition
	Wait           time.Duration // for the outcome
	Digest         []byte        // of what was sent
	Traceparent    string
	Installation   []byte // the key that ids which the shop chooses depend on
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
	m := hmac.New(sha256.New, r.Installation)
	m.Write([]byte("\x00chosen\x00" + what + "\x00" + command.String())) // no operation begins so: it is no digest
	return m.Sum(nil)
}

// call is how a command is asked for on behalf of this request. Nothing led to it but the request: it is its own cause.
func (r Request) call(resource string) es.Call {
	id := r.CommandID(resource)
	return es.Call{ID: id, Digest: r.Digest, Causation: id.String(), Actor: r.Actor, IfMatch: r.IfMatch, Traceparent: r.Traceparent}
}
