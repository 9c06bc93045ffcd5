package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/projection"
	"github.com/daybook-dev/daybook/internal/relay"
	"github.com/daybook-dev/daybook/internal/saga"
)

// Config says what is examined. Log and Catalog are needed; what else is nil or empty is passed over, and the report
// says so.
type Config struct {
	Log     es.Log
	Catalog *es.Catalog
	Sagas   []saga.Machine

	Pool        *pgxpool.Pool
	Projections []projection.Projection

	Brokers    []string
	Topic      string // default relay.DefaultTopic
	Partitions int    // default relay.DefaultPartitions

	// Provider is the URL of the simulator, whose ledger is compared.
	Provider string
	// Acknowledged are answers that clients were given; all of them must still be true.
	Acknowledged []Acknowledged
	// Settle bounds the waiting for rest; default 60 s.
	Settle time.Duration
	// Patience is how long a saga may owe something, or a read model be behind, before that is a finding; default 60 s.
	Patience time.Duration
	// Stopped: no role runs, so nothing is waited for and nobody is late.
	Stopped bool
	Now     func() time.Time // default time.Now
}

// Acknowledged is an answer to a command: the stream it was about, its revision (the ETag) and the position.
type Acknowledged struct {
	Stream   string `json:"stream"`
	Revision uint64 `json:"revision"`
	Position uint64 `json:"position"`
}

// Finding is one breach.
type Finding struct {
	Invariant string  `json:"invariant"`
	Stream    string  `json:"stream,omitempty"`
	Revision  *uint64 `json:"revision,omitempty"`
	Position  uint64  `json:"position,omitempty"`
	Row       string  `json:"row,omitempty"` // table, key and version; or partition and offset; or the provider's reference
	Problem   string  `json:"problem"`
	Expected  string  `json:"expected,omitempty"`
	Found     string  `json:"found,omitempty"`
}

func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.Invariant)
	if f.Stream != "" {
		fmt.Fprintf(&b, "  %s", f.Stream)
		if f.Revision != nil {
			fmt.Fprintf(&b, "@%d", *f.Revision)
		}
	}
	if f.Position > 0 {
		fmt.Fprintf(&b, "  position %d", f.Position)
	}
	if f.Row != "" {
		fmt.Fprintf(&b, "  %s", f.Row)
	}
	fmt.Fprintf(&b, "  %s", f.Problem)
	if f.Expected != "" || f.Found != "" {
		fmt.Fprintf(&b, ": expected %s, found %s", f.Expected, f.Found)
	}
	return b.String()
}

// Report is what was looked at and what is wrong. Findings hold the first of each invariant; Breaches counts all.
type Report struct {
	Healthy  bool           `json:"healthy"`
	AtRest   bool           `json:"at_rest"`          // nothing was owed or behind when it was read
	Moving   []string       `json:"moving,omitempty"` // what was, if not
	Position uint64         `json:"position"`
	Checked  map[string]int `json:"checked"` // by what: events, streams, orders, …
	Skipped  []string       `json:"skipped,omitempty"`
	Notes    []string       `json:"notes,omitempty"`
	Findings []Finding      `json:"findings"`
	Breaches map[string]int `json:"breaches"` // by invariant
	Seconds  float64        `json:"seconds"`
}

const (
	mostKept   = 50 // findings of one invariant
	mostListed = 20 // notes, moving things
)

func (r *Report) find(f Finding) {
	if r.Breaches[f.Invariant]++; r.Breaches[f.Invariant] <= mostKept {
		r.Findings = append(r.Findings, f)
	}
}

func (r *Report) notef(format string, args ...any) { r.Notes = listed(r.Notes, format, args...) }

func listed(list []string, format string, args ...any) []string {
	if len(list) < mostListed {
		list = append(list, fmt.Sprintf(format, args...))
	}
	return list
}

func (r *Report) skipf(format string, args ...any) {
	r.Skipped = append(r.Skipped, fmt.Sprintf(format, args...))
}

// Examine reads everything and reports. Its error says that something could not be read, not that it is wrong.
func Examine(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Log == nil || cfg.Catalog == nil {
		return nil, errors.New("the doctor needs the log and the catalog")
	}
	if cfg.Topic == "" {
		cfg.Topic = relay.DefaultTopic
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = relay.DefaultPartitions
	}
	if cfg.Settle == 0 {
		cfg.Settle = time.Minute
	}
	if cfg.Patience == 0 {
		cfg.Patience = time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	began := time.Now()
	r := &Report{Checked: map[string]int{}, Breaches: map[string]int{}, Findings: []Finding{}}
	h := newHistory(cfg, r)
	if err := h.settle(ctx); err != nil {
		return nil, err
	}
	ledger, err := readLedger(ctx, cfg, h)
	if err != nil {
		return nil, fmt.Errorf("reading the provider's ledger: %w", err)
	}
	h.checkEffects()
	h.checkAcknowledged()
	h.checkSagas()
	h.checkMoney()
	h.checkStock()
	if cfg.Provider != "" {
		h.compareLedger(ledger)
	}
	for _, part := range []func(context.Context, Config, *history, *Report) error{checkEngines, checkRows, checkTopic} {
		if err := part(ctx, cfg, h, r); err != nil {
			return nil, err
		}
	}
	r.Position = h.end
	r.Checked["events"], r.Checked["streams"], r.Checked["commands"] = h.events, len(h.streams), len(h.commands)
	r.Checked["orders"], r.Checked["skus"], r.Checked["saga instances"] = len(h.orders), len(h.shelves), len(h.instances)
	r.Healthy, r.Seconds = len(r.Findings) == 0, time.Since(began).Seconds()
	return r, nil
}
