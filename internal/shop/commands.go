package shop

import (
	"context"
	"log/slog"

	"github.com/daybook-dev/daybook/commands/lease"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/kit/es"
)

// CommandConfig is what the commands need. All fields but Logger are needed.
type CommandConfig struct {
	Handler *es.Handler
	Log     es.Log // followed for changes of products
	Keys    Sealer
	Shop    order.Shop
	Queries *Queries // show orders
	Logger  *slog.Logger
}

// Commands change something.
type Commands struct {
	CommandConfig

	catalogue *catalogue
	numbers   *lease.Numbers
}

// NewCommands gives the commands; Run keeps their catalogue fresh.
func NewCommands(cfg CommandConfig) *Commands {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Commands{cfg, newCatalogue(cfg.Handler, cfg.Log, cfg.Logger), lease.NewNumbers(cfg.Handler, lease.OrderNumber)}
}

// Run follows the products until ctx ends. Without it every price is read from the store.
func (c *Commands) Run(ctx context.Context) error { return c.catalogue.run(ctx) }

// Done is what a command came to: what it is about, as it was at Revision. A repeat is shown the same.
type Done[V any] struct {
	Shown              V
	Revision, Position uint64
	Replayed           bool
}

// run decides a command on the stream of a key and shows the stream's state at the receipt. prepare fills the command in.
func run[S, V any, P es.State[S]](ctx context.Context, c *Commands, call es.Call, key string, prepare func(context.Context) (es.Decision[S], error), view func(S) V) (Done[V], error) {
	r, shown, err := es.HandlePreparedView[S, V, P](ctx, c.Handler, key, call, prepare, view)
	return Done[V]{shown, r.Revision, r.Position, r.Replayed}, err
}

// plain is a command that needs nothing filled in.
func plain[S any](d es.Decision[S]) func(context.Context) (es.Decision[S], error) {
	return func(context.Context) (es.Decision[S], error) { return d, nil }
}

func streamOf(category, key string) es.StreamID { return es.StreamID{Category: category, Key: key} }
