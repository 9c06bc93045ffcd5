package shop

import (
	"context"
	"log/slog"

	"github.com/daybook-dev/daybook/commands/lease"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/kit/es"
)

// CommandConfig configures Commands. Only Logger is optional.
type CommandConfig struct {
	Handler *es.Handler
	Log     es.Log // followed to invalidate cached products
	Keys    es.Sealer
	Shop    order.Shop
	Queries *Queries // render orders
	Logger  *slog.Logger
}

// Commands are the use cases that record events.
type Commands struct {
	CommandConfig

	catalogue *catalogue
	numbers   *lease.Numbers
}

// NewCommands returns the commands. Run keeps the product cache up to date.
func NewCommands(cfg CommandConfig) *Commands {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Commands{cfg, newCatalogue(cfg.Handler, cfg.Log, cfg.Logger), lease.NewNumbers(cfg.Handler, lease.OrderNumber)}
}

// Run follows product events until ctx ends. Without Run, every price is read from the store.
func (c *Commands) Run(ctx context.Context) error { return c.catalogue.run(ctx) }

// Done is the result of a command: the state at Revision. A repeat returns the same.
type Done[V any] struct {
	Shown              V
	Revision, Position uint64
	Replayed           bool
}

// run decides a command on the stream of a key and returns a view of the state at its receipt. prepare completes the command.
func run[S, V any, P es.State[S]](ctx context.Context, c *Commands, call es.Call, key string, prepare func(context.Context) (es.Decision[S], error), view func(S) V) (Done[V], error) {
	r, shown, err := es.HandlePreparedView[S, V, P](ctx, c.Handler, key, call, prepare, view)
	return Done[V]{shown, r.Revision, r.Position, r.Replayed}, err
}

// plain is the prepare function of a command that is complete.
func plain[S any](d es.Decision[S]) func(context.Context) (es.Decision[S], error) {
	return func(context.Context) (es.Decision[S], error) { return d, nil }
}

func streamOf(category, key string) es.StreamID { return es.StreamID{Category: category, Key: key} }
