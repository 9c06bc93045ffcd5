// Package command serves what changes something: each operation decodes, seals what is personal, calls a command, and
// encodes what it came to. Deciding is the commands' business, making it durable the kernel's.
package command

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/commands/lease"
	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/kit/es"
)

// Config is what the commands need. All fields but Logger are needed.
type Config struct {
	Handler *es.Handler
	Log     es.Log // followed for changes of products
	Keys    Sealer
	Shop    order.Shop
	Orders  Orders
	Logger  *slog.Logger
}

// Sealer seals personal data before a command sees it (package personal).
type Sealer interface {
	Seal(ctx context.Context, subject string, stream es.StreamID, eventType, field, plaintext string) (es.Sealed, error)
}

// Orders shows orders as the query API does.
type Orders interface {
	// Fold shows an order as its own stream tells it.
	Fold(ctx context.Context, stream []es.Recorded) (openapi.Order, error)
	// Await shows an order as its read model has it once that holds the receipt's events and the order waits for nothing
	// any more, or when the time is up. ok is false if the read model has not come that far by then.
	Await(ctx context.Context, r es.Receipt, atMost time.Duration) (o openapi.Order, ok bool, err error)
}

// Server is the command side of the API.
type Server struct {
	Config

	catalogue *catalogue
	numbers   *lease.Numbers
}

// New gives a server; Run keeps its catalogue fresh.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg, newCatalogue(cfg.Handler, cfg.Log, cfg.Logger), lease.NewNumbers(cfg.Handler, lease.OrderNumber)}
}

// Run follows the products until ctx ends. Without it every price is read from the store.
func (s *Server) Run(ctx context.Context) error { return s.catalogue.run(ctx) }

func replayed(r es.Receipt) *string {
	if !r.Replayed {
		return nil
	}
	yes := "true"
	return &yes
}

// applied acknowledges what a request asked to wait.
func applied(r api.Request) *string {
	if !r.Waits {
		return nil
	}
	said := "wait=" + strconv.Itoa(int(r.Wait/time.Second))
	return &said
}

func int64Of(n uint64) int64 { return int64(n) } //nolint:gosec // revisions and positions stay below 2^63
