package shop

import (
	"cmp"
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/customers"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/orderevents"
	"github.com/daybook-dev/daybook/projections/orderlist"
	"github.com/daybook-dev/daybook/projections/products"
	"github.com/daybook-dev/daybook/projections/sales"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// QueryConfig configures Queries. Streams and Logger are optional.
type QueryConfig struct {
	Rows Rows
	Keys es.Opener
	// TimeZone is the one in which reports count days (IANA).
	TimeZone string
	// Streams limits event streams; zero: DefaultLimits.
	Streams Limits
	Logger  *slog.Logger
}

// Rows reads the tables of projections (reader.Reader).
type Rows interface {
	View(ps ...projection.Projection) (query.View, error)
	// Partition is the partition of a key. Watch wakes its caller when rows may have changed in a partition that concerns accepts;
	// it may also wake it without a change.
	Partition(key string) int
	Watch(concerns func(partition int) bool) (wake <-chan struct{}, cancel func())
}

// Queries are the use cases that read.
type Queries struct {
	QueryConfig

	details   orderdetails.Queries
	list      orderlist.Queries
	events    orderevents.Queries
	stock     stocklevels.Queries
	products  products.Queries
	customers customers.Queries
	sales     sales.Queries
	byProduct salesbyproduct.Queries

	closing chan struct{} // closed when streams must end
	waiting *waiting
	streams *streams
}

// NewQueries returns the queries. Run serves waiting requests and streams.
func NewQueries(cfg QueryConfig) (*Queries, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Streams.Streams = cmp.Or(cfg.Streams.Streams, DefaultLimits.Streams)
	cfg.Streams.PerClient = cmp.Or(cfg.Streams.PerClient, DefaultLimits.PerClient)
	q := &Queries{QueryConfig: cfg, closing: make(chan struct{})}
	q.sales.Zone, q.byProduct.Zone = cfg.TimeZone, cfg.TimeZone
	for _, v := range []struct {
		of   projection.Projection
		into *query.View
	}{
		{orderdetails.Projection, &q.details.View}, {orderlist.Projection, &q.list.View}, {orderevents.Projection, &q.events.View},
		{stocklevels.Projection, &q.stock.View}, {products.Projection, &q.products.View}, {customers.Projection, &q.customers.View},
		{sales.Projection, &q.sales.View}, {salesbyproduct.Projection, &q.byProduct.View},
	} {
		var err error
		if *v.into, err = cfg.Rows.View(v.of); err != nil {
			return nil, err
		}
	}
	q.streams = newStreams(q.events, cfg.Rows.Partition, cfg.Streams, cfg.Logger)
	q.waiting = newWaiting(q.details, cfg.Rows.Partition, cfg.Logger)
	return q, nil
}

// Run serves waiting requests and streams until ctx ends; then it ends them.
func (q *Queries) Run(ctx context.Context) error {
	defer close(q.closing)
	wake, cancel := q.Rows.Watch(q.waiting.concerns)
	defer cancel()
	events, silence := q.Rows.Watch(q.streams.concerns)
	defer silence()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return q.waiting.run(ctx, wake) })
	g.Go(func() error { return q.streams.run(ctx, events) })
	return g.Wait()
}
