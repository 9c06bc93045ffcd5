package app

import (
	"context"
	"log/slog"

	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// What the shop's programs and tests name of the runtime.
type (
	Sources        = runtime.Sources
	Setting        = runtime.Value
	System         = runtime.System
	Node           = runtime.Node
	Recovery       = runtime.Recovery
	RecoverOptions = runtime.RecoverOptions
)

// Start is runtime.Start for the shop.
func Start(ctx context.Context, cfg Config, version string, log *slog.Logger) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Version = version
	return runtime.Start(ctx, domain(cfg), cfg.Config, log)
}

// Attach connects to the system that runs on the configured data directory, or at the addresses that are configured.
// None running, while some server has no address, is fs.ErrNotExist.
func Attach(ctx context.Context, cfg Config, log *slog.Logger) (*System, error) {
	return runtime.Attach(ctx, domain(cfg), cfg.Config, log)
}

// Recover makes the servers of a stopped system belong together again.
func Recover(ctx context.Context, cfg Config, version string, log *slog.Logger, o RecoverOptions) (*Recovery, error) {
	cfg.Version = version
	return runtime.Recover(ctx, domain(cfg), cfg.Config, log, o)
}

// NewCatalog is every event that Daybook writes, the engines' own included.
func NewCatalog() (*es.Catalog, error) { return domain(Config{}).AllEvents() }

// Examine lets the doctor look at the shop that runs, or at what one has left behind.
func Examine(ctx context.Context, cfg Config, log *slog.Logger, o runtime.ExamineOptions) (*doctor.Report, error) {
	return runtime.Examine(ctx, domain(cfg), cfg.Config, log, o)
}

// Addresses are where everything of a running shop is: what run.json holds.
type Addresses struct {
	runtime.Addresses

	CommandAPI, QueryAPI, PaymentProvider string
}

// AddressesOf gives a running system's addresses by the names of the shop.
func AddressesOf(at runtime.Addresses) Addresses {
	return Addresses{at, at.Get(atCommandAPI), at.Get(atQueryAPI), at.Get(atProvider)}
}

// RunFile is where a data directory's addresses stand.
func RunFile(dataDir string) string { return runtime.RunFile(dataDir) }

// ReadAddresses gives the addresses of the system that runs on a data directory. None running is fs.ErrNotExist.
func ReadAddresses(dataDir string) (Addresses, error) {
	at, err := runtime.ReadAddresses(dataDir)
	return AddressesOf(at), err
}

// UnmarshalJSON reads run.json.
func (a *Addresses) UnmarshalJSON(b []byte) error {
	var at runtime.Addresses
	err := at.UnmarshalJSON(b)
	*a = AddressesOf(at)
	return err
}
