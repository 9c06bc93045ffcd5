// Package query serves the operations that read. Each maps its request to a query of the shop, and the answer to a body.
package query

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Server is the query side of the API.
type Server struct {
	queries *shop.Queries
	log     *slog.Logger
}

// New returns a server.
func New(queries *shop.Queries, log *slog.Logger) *Server { return &Server{queries, log} }

func asked(ctx context.Context) query.Ask { return api.RequestOf(ctx).Ask }

func pageOf(ctx context.Context) shop.Page { return api.RequestOf(ctx).Page }

// headers of an answer with one item, in the order of generated code.
type headers struct {
	DaybookPosition string
	ETag            string
}

func headersOf(revision int64, a query.Answer) headers {
	return headers{api.Position(a.Position), api.ETag(uint64(max(revision, 0)), a.Position)}
}

// pageHeaders of a page, in the order of generated code.
type pageHeaders struct {
	DaybookPosition string
	Link            *string
}

func pageHeadersOf(ctx context.Context, next *string, a query.Answer) pageHeaders {
	h := pageHeaders{DaybookPosition: api.Position(a.Position)}
	if next != nil {
		h.Link = new(fmt.Sprintf(`<?%scursor=%s>; rel="next"`, api.RequestOf(ctx).OtherQuery("cursor"), *next))
	}
	return h
}

// each maps the items of a page.
func each[V, W any](items []V, show func(V) W) []W {
	out := make([]W, len(items))
	for i, item := range items {
		out[i] = show(item)
	}
	return out
}
