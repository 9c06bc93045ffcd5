// Package command serves what changes something: each operation maps its request to a use case of the shop, and what that came to to
// an answer.
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

// New gives a server.
func New(commands *shop.Commands) *Server { return &Server{commands} }

func asked(ctx context.Context) shop.Request { return api.RequestOf(ctx).Request }

// headers are those of an answer about one thing, as generated code has them.
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

// applied acknowledges what a request asked to wait.
func applied(ctx context.Context) *string {
	r := api.RequestOf(ctx)
	if !r.Waits {
		return nil
	}
	return new("wait=" + strconv.Itoa(int(r.Wait/time.Second)))
}

func int64Of(n uint64) int64 { return int64(n) } //nolint:gosec // revisions and positions stay below 2^63
