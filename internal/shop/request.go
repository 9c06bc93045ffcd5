package shop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Request identifies the caller of a command, and the command if it is repeated.
type Request struct {
	Actor          es.Actor
	Operation      string // operationId of openapi.yaml
	IdempotencyKey string
	IfMatch        *es.Condition
	Wait           time.Duration // for the outcome
	Digest         []byte        // HMAC of the request as sent
	Traceparent    string
	Installation   []byte // the installation key: ids that the shop chooses depend on it
}

// CommandID identifies the command. resource is the target stream if the caller names it, else the collection.
func (r Request) CommandID(resource string) es.UUID {
	return es.CommandID(r.caller(), r.Operation, resource, "key:"+r.IdempotencyKey)
}

// The issuer of identities and the tenant, until access tokens provide them.
const (
	issuer = "daybook"
	tenant = "default"
)

// caller is a JSON array, so that two callers never have the same text.
func (r Request) caller() string {
	b, err := json.Marshal([]string{issuer, tenant, r.Actor.Kind, r.Actor.ID})
	if err != nil { // texts
		panic(err)
	}
	return string(b)
}

// Choose returns a value that the shop chooses for a command, such as an id. A repeat gets the same value, and only the installation can compute it.
func (r Request) Choose(what string, command es.UUID) []byte {
	m := hmac.New(sha256.New, r.Installation)
	m.Write([]byte("\x00chosen\x00" + what + "\x00" + command.String())) // no operation starts with NUL, so this is never a digest
	return m.Sum(nil)
}

// call is the kernel call of this request. The request itself is the cause of the command.
func (r Request) call(resource string) es.Call {
	id := r.CommandID(resource)
	return es.Call{ID: id, Digest: r.Digest, Causation: id.String(), Actor: r.Actor, IfMatch: r.IfMatch, Traceparent: r.Traceparent}
}
