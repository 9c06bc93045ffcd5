// Package command serves the operations that record something. Each maps its request to a use case of the shop, and the result to an
// answer.
package command

import (
	"context"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/internal/shop"
)

// Server is the command side of the API.
type Server struct{ commands *shop.Commands }

// New returns a server.
func New(commands *shop.Commands) *Server { return &Server{commands} }

func asked(ctx context.Context) shop.Request { return api.RequestOf(ctx).Request }

// headers of an answer with one item, in the order of generated code.
type headers struct {
	DaybookPosition    string
	ETag               string
	IdempotentReplayed *string
	Location           string
}

func headersOf[V any](d shop.Done[V], location string) headers {
	h := headers{DaybookPosition: api.Position(d.Position), ETag: api.ETag(d.Revision, d.Position), Location: location}
	if d.Replayed {
		h.IdempotentReplayed = new("true")
	}
	return h
}

// applied is Preference-Applied.
func applied(ctx context.Context) *string {
	r := api.RequestOf(ctx)
	if !r.Waits {
		return nil
	}
	return new("wait=" + strconv.Itoa(int(r.Wait/time.Second)))
}

func int64Of(n uint64) int64 { return int64(n) } //nolint:gosec // revisions and positions stay below 2^63
