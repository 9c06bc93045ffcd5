package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// Config says what is examined. Log and Catalog are needed; what else is nil or empty is passed over, and the report
// says so.
type Config struct {
	Log     es.Log
	Catalog *es.Catalog
	Sagas   []machine.Machine

	Pool        *pgxpool.Pool
	Projections []projection.Projection

	Brokers    []string
	Keys       *topic.Keys // of the topic's messages
	Topic      string      // default topic.DefaultName
	Partitions int         // default topic.DefaultPartitions

	// Provider is the URL of the simulator, whose ledger is compared.
	Provider string
	// Acknowledged are answers that clients were given; all of them must still be true.
	Acknowledged []Acknowledged
	// Settle bounds the waiting for rest; default 60 s.
	Settle time.Duration
	// Patience is how long a saga may owe something, or a read model be behind, before that is a finding; default 60 s.
	Patience time.Duration
	// Stopped: no role runs, so nothing is waited for and nothing is late.
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
	// MissingKeys are all subjects whose personal data cannot be shown although it was not erased.
	MissingKeys []string       `json:"missing_keys,omitempty"`
	Breaches    map[string]int `json:"breaches"` // by invariant
	Seconds     float64        `json:"seconds"`
	Took        []Took         `json:"took"` // where they went; read models are looked at beside the rest
}

// Took is how long one part of the examination took, and what it decided on.
type Took struct {
	Part       string  `json:"part"`
	Invariants string  `json:"invariants,omitempty"`
	Seconds    float64 `json:"seconds"`
}

func newReport() *Report {
	return &Report{Checked: map[string]int{}, Breaches: map[string]int{}, Findings: []Finding{}}
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

// merge adds what another has looked at and found.
func (r *Report) merge(other *Report) {
	kept := map[string]int{}
	for _, f := range r.Findings {
		kept[f.Invariant]++
	}
	for _, f := range other.Findings {
		if kept[f.Invariant]++; kept[f.Invariant] <= mostKept {
			r.Findings = append(r.Findings, f)
		}
	}
	for invariant, n := range other.Breaches {
		r.Breaches[invariant] += n
	}
	for what, n := range other.Checked {
		r.Checked[what] += n
	}
	r.Skipped, r.Took = append(r.Skipped, other.Skipped...), append(r.Took, other.Took...)
	for _, n := range other.Notes {
		r.notef("%s", n)
	}
}

func (r *Report) took(part, invariants string, since time.Time) {
	r.Took = append(r.Took, Took{part, invariants, time.Since(since).Seconds()})
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
		cfg.Topic = topic.DefaultName
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = topic.DefaultPartitions
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
	r, models := newReport(), newReport()
	h := newHistory(cfg, r)
	var builds []*build
	settled := make(chan struct{})
	group, within := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if !cfg.Stopped { // else nothing moves, and rows can be looked at meanwhile
			select {
			case <-settled:
			case <-within.Done():
				return within.Err()
			}
		}
		builds, err = checkRows(within, cfg, models)
		return err
	})
	group.Go(func() error { return h.examine(within, settled) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	r.merge(models)
	h.checkLevels(builds)
	r.Position = h.end
	r.Checked["events"], r.Checked["streams"], r.Checked["commands"] = h.events, len(h.streams), len(h.commands)
	r.Checked["orders"], r.Checked["skus"], r.Checked["saga instances"] = len(h.orders), len(h.shelves), len(h.instances)
	r.Healthy, r.Seconds = len(r.Findings) == 0, time.Since(began).Seconds()
	return r, nil
}

// examine is all but the read models. It closes settled when the system has come to rest, or has had the time for it.
func (h *history) examine(ctx context.Context, settled chan<- struct{}) error {
	began := time.Now()
	if err := h.settle(ctx); err != nil {
		return err
	}
	close(settled)
	h.out.took("the log is read, to its rest", "I1 I2 I7", began)
	began = time.Now()
	ledger, err := readLedger(ctx, h.cfg, h)
	if err != nil {
		return fmt.Errorf("reading the provider's ledger: %w", err)
	}
	h.out.took("the provider's ledger is read", "", began)
	for _, part := range []struct {
		name, invariants string
		check            func() error
	}{
		{"answers and acknowledgements", "I1", func() error { h.checkEffects(); h.checkAcknowledged(); return nil }},
		{"sagas", "I6", func() error { h.checkSagas(); return nil }},
		{"money", "I4", func() error { h.checkMoney(); return nil }},
		{"stock", "I5", func() error { h.checkStock(); return nil }},
		{"imports", "I4 I5", func() error { h.checkImports(); return nil }},
		{"the ledger is compared", "I4", func() error { h.checkLedger(ledger); return nil }},
		{"what the engines keep", "I3 I6 I8", func() error { return checkEngines(ctx, h.cfg, h, h.out) }},
		{"personal keys", "I9", func() error { return h.checkKeys(ctx) }},
		{"the topic is read", "I8", func() error { return checkTopic(ctx, h.cfg, h, h.out) }},
	} {
		began = time.Now()
		if err := part.check(); err != nil {
			return err
		}
		h.out.took(part.name, part.invariants, began)
	}
	return nil
}

func (h *history) checkLedger(l ledger) {
	if h.cfg.Provider != "" {
		h.compareLedger(l)
	}
}
