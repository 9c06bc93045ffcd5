// Package query serves what reads: each operation asks a projection, opens what is sealed, and says how far its answer reaches.
package query

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/customers"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/orderevents"
	"github.com/daybook-dev/daybook/projections/orderlist"
	"github.com/daybook-dev/daybook/projections/products"
	"github.com/daybook-dev/daybook/projections/sales"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// Config is what the queries need. All fields but Logger are needed.
type Config struct {
	Rows Rows
	Keys Opener
	// TimeZone is the shop's: reports count its days.
	TimeZone string
	// Streams bounds event streams; nothing said: DefaultLimits.
	Streams Limits
	Logger  *slog.Logger
}

// Rows is what projections keep (reader.Reader).
type Rows interface {
	View(ps ...projection.Projection) (projection.View, error)
	// Partition is where a key's rows are, and Watch wakes its caller when rows may have changed in a partition that concerns
	// accepts, or for nothing.
	Partition(key string) int
	Watch(concerns func(partition int) bool) (wake <-chan struct{}, cancel func())
}

// Opener opens sealed personal data (package personal).
type Opener interface {
	Unseal(ctx context.Context, s es.Sealed) (string, error)
}

// Server is the query side of the API.
type Server struct {
	Config

	details   orderdetails.Queries
	list      orderlist.Queries
	events    orderevents.Queries
	stock     stocklevels.Queries
	products  products.Queries
	customers customers.Queries
	sales     sales.Queries
	byProduct salesbyproduct.Queries

	closing chan struct{} // closed when streams should end
	waiting *waiting
	streams *streams
}

// New gives a server.
func New(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Streams.Streams = cmp.Or(cfg.Streams.Streams, DefaultLimits.Streams)
	cfg.Streams.PerClient = cmp.Or(cfg.Streams.PerClient, DefaultLimits.PerClient)
	s := &Server{Config: cfg, closing: make(chan struct{})}
	s.sales.Zone, s.byProduct.Zone = cfg.TimeZone, cfg.TimeZone
	for _, v := range []struct {
		of   projection.Projection
		into *projection.View
	}{
		{orderdetails.Projection, &s.details.View}, {orderlist.Projection, &s.list.View}, {orderevents.Projection, &s.events.View},
		{stocklevels.Projection, &s.stock.View}, {products.Projection, &s.products.View}, {customers.Projection, &s.customers.View},
		{sales.Projection, &s.sales.View}, {salesbyproduct.Projection, &s.byProduct.View},
	} {
		var err error
		if *v.into, err = cfg.Rows.View(v.of); err != nil {
			return nil, err
		}
	}
	s.streams = newStreams(s.events, cfg.Rows.Partition, cfg.Streams, cfg.Logger)
	s.waiting = newWaiting(s.details, cfg.Rows.Partition, cfg.Logger)
	return s, nil
}

// Run serves those who wait for an order, until ctx ends; then open streams end too.
func (s *Server) Run(ctx context.Context) error {
	defer close(s.closing)
	wake, cancel := s.Rows.Watch(s.waiting.concerns)
	defer cancel()
	events, silence := s.Rows.Watch(s.streams.concerns)
	defer silence()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.waiting.run(ctx, wake) })
	g.Go(func() error { return s.streams.run(ctx, events) })
	return g.Wait()
}

// asked reads what every query can be given: how far to wait, and the moment asked about.
func asked(least, asOf, known *string) (projection.Ask, error) {
	var ask projection.Ask
	var err error
	if least != nil {
		if ask.MinPosition, err = strconv.ParseUint(*least, 10, 63); err != nil {
			return ask, api.NewProblem("malformed_parameter", "min_position is not a Daybook-Position").At("min_position", "format", "is too large")
		}
	}
	if ask.AsOf, err = moment("as_of", asOf); err != nil {
		return ask, err
	}
	ask.KnownAt, err = moment("known_at", known)
	return ask, err
}

func moment(name string, value *string) (*time.Time, error) {
	if value == nil {
		return nil, nil //nolint:nilnil // now
	}
	t, err := api.ParseTime(*value)
	if err != nil || t.UTC().Year() < 1 {
		return nil, api.NewProblem("bad_time", "%s is not an RFC 3339 time", name).At(name, "format", "must look like 2026-01-31T12:00:00Z")
	}
	if t.After(time.Now().Add(5 * time.Second)) {
		return nil, api.NewProblem("bad_time", "%s lies in the future", name).At(name, "future", "lies more than 5 s in the future")
	}
	return new(es.Micro(t)), nil
}

// problemOf says what went wrong with reading, where it is the caller's to know.
func problemOf(err error) error {
	switch {
	case errors.Is(err, projection.ErrNotYet):
		p := api.NewProblem("not_yet", "the read model has not come that far yet; ask again")
		p.RetryAfter = 1
		return p
	case errors.Is(err, projection.ErrRebuilding):
		p := api.NewProblem("rebuilding", "the read model is being rebuilt")
		p.RetryAfter = 5
		return p
	case errors.Is(err, projection.ErrBusy):
		p := api.NewProblem("unavailable", "the read model does not answer in time; ask again")
		p.RetryAfter = 1
		return p
	case errors.Is(err, projection.ErrNoHistory):
		return api.NewProblem("malformed_parameter", "this is known only as it is now").At("as_of", "no_history", "cannot be asked here")
	}
	return err
}

// notFound tells what never existed from what did not exist at the moment asked about.
func notFound(ask projection.Ask, what es.Code, format string, args ...any) error {
	if ask.Past() {
		return api.NewProblem("not_found_at", format+" then", args...)
	}
	return api.NewProblem(what, format, args...)
}

// times are shown only where a moment was asked about.
func times(a projection.Answer) (asOf, known *time.Time) {
	return a.AsOf, a.KnownAt
}

func position(a projection.Answer) string { return api.Position(a.Position) }

const defaultLimit = 50

func limitOf(n *openapi.Limit) int {
	if n == nil {
		return defaultLimit
	}
	return *n
}

// cursor is where a page ended, for one filter. It is opaque to callers.
type cursor struct {
	Filter string   `json:"f"`
	After  []string `json:"a"`
}

// after opens a cursor that must be of this filter and n keys; nil if there is none.
func after(given *string, filter string, n int) ([]string, error) {
	if given == nil {
		return nil, nil
	}
	bad := api.NewProblem("bad_cursor", "the cursor is not one of this list").At("cursor", "format", "must be `next` of a page of the same filter")
	b, err := base64.RawURLEncoding.DecodeString(*given)
	if err != nil {
		return nil, bad
	}
	var c cursor
	if err := json.Unmarshal(b, &c); err != nil || c.Filter != filter || len(c.After) != n {
		return nil, bad
	}
	if slices.ContainsFunc(c.After, func(key string) bool { return strings.ContainsRune(key, 0) }) { // which Postgres cannot be asked about
		return nil, bad
	}
	return c.After, nil
}

func next(filter string, keys ...string) *string {
	b, err := json.Marshal(cursor{filter, keys})
	if err != nil { // strings
		panic(err)
	}
	s := base64.RawURLEncoding.EncodeToString(b)
	return &s
}

// link is the Link header of a page that has a next one.
func link(ctx context.Context, cursor *string) *string {
	if cursor == nil {
		return nil
	}
	s := fmt.Sprintf(`<?%scursor=%s>; rel="next"`, api.RequestOf(ctx).OtherQuery("cursor"), *cursor)
	return &s
}
