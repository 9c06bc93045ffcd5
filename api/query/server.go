// Package query serves the operations that read. Each maps its request to a query of the shop, and the answer to a body.
package query

import (
	"context"
	"fmt"
	"log/slog"
	"time"

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
	DaybookParked   *int
	DaybookPosition string
	Link            *string
}

// page is the body of a list, in the order of generated code.
type page[W any] struct {
	Items    []W
	Next     *string
	AsOf     *time.Time
	KnownAt  *time.Time
	Position string
}

// listed gives the body and the headers of a page.
func listed[V, W any](ctx context.Context, l shop.List[V], show func(V) W) (page[W], pageHeaders) {
	items := make([]W, len(l.Items))
	for i, item := range l.Items {
		items[i] = show(item)
	}
	h := pageHeaders{DaybookPosition: api.Position(l.Position)}
	if l.Parked > 0 {
		h.DaybookParked = &l.Parked
	}
	if l.Next != nil {
		h.Link = new(fmt.Sprintf(`<?%scursor=%s>; rel="next"`, api.RequestOf(ctx).OtherQuery("cursor"), *l.Next))
	}
	return page[W]{items, l.Next, l.AsOf, l.KnownAt, h.DaybookPosition}, h
}
