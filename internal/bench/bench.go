package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/es"
)

// Config says what is measured, how long. Binary and Catalog are needed.
type Config struct {
	// Binary is this program, or another build of it: the servers run as processes of it.
	Binary  string
	Version string
	Catalog *es.Catalog
	// Only names the benchmarks to do; none: all, but memory only if they are quick.
	Only []string
	// Minutes is how long the benchmark memory takes, with how many Buyers; default 10 and 64. Quick: as many seconds, 2 and 4.
	Minutes, Buyers int
	// Quick is to see that everything works: its figures are worth little.
	Quick bool
	// Round is how long each thing is measured at a time, Rounds how often; default 2 s and 3, quick 0.3 s and 1.
	Round  time.Duration
	Rounds int
	// Dir is where the servers keep their data meanwhile, on the disk that is measured; default a new one in the system's.
	Dir string
	// Profiles is a directory for CPU profiles of the whole system, one per benchmark of it; empty: none are taken.
	Profiles string
	// Say tells what is being done; may be nil.
	Say func(format string, args ...any)
}

// Names lists the benchmarks.
func Names() []string {
	return []string{"order", "append", "delivery", "command", "hot", "saga", "replay", nameMemory}
}

// bench is one run.
type bench struct {
	cfg    Config
	dir    string
	round  time.Duration
	warmUp time.Duration
	rounds int
	out    *Report

	events, postgres, system *child
	store                    *esclient.Client
	pool                     *pgxpool.Pool
	inserts                  int
	skus                     int
	shop                     *caller
}

const (
	usualRound, quickRound   = 2 * time.Second, 300 * time.Millisecond
	usualRounds, quickRounds = 3, 1
	usualSKUs, quickSKUs     = 1000, 50
	each                     = 6 * time.Minute // bounds one benchmark, without the minutes of its load
)

// Run measures. Its error says that something could not be; what is in the report then is still right.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	for _, name := range cfg.Only {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no benchmark %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	if cfg.Quick {
		cfg.Minutes, cfg.Buyers = cmp.Or(cfg.Minutes, quickMinutes), cmp.Or(cfg.Buyers, quickBuyers)
	}
	cfg.Minutes, cfg.Buyers = cmp.Or(cfg.Minutes, usualMinutes), cmp.Or(cfg.Buyers, usualBuyers)
	if cfg.Minutes < 1 || cfg.Buyers < 1 {
		return nil, fmt.Errorf("%d buyers for %d minutes: there is nothing to measure", cfg.Buyers, cfg.Minutes)
	}
	b := &bench{cfg: cfg, round: cfg.Round, rounds: cfg.Rounds, skus: usualSKUs}
	if cfg.Quick {
		b.skus = quickSKUs
	}
	if b.round == 0 {
		b.round = usualRound
		if cfg.Quick {
			b.round = quickRound
		}
	}
	if b.rounds == 0 {
		b.rounds = usualRounds
		if cfg.Quick {
			b.rounds = quickRounds
		}
	}
	b.warmUp = min(b.round/4, 500*time.Millisecond)
	if b.dir, err = os.MkdirTemp(cfg.Dir, "daybook-bench-"); err != nil {
		return nil, fmt.Errorf("directory of the servers: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // Postgres may run as a user of its own
		return nil, fmt.Errorf("directory of the servers: %w", err)
	}
	began := time.Now()
	b.out = &Report{Machine: machine(cfg.Version, b.dir), Quick: cfg.Quick}
	err = errors.Join(b.all(ctx), b.stop())
	b.out.Machine.LoadAfter, b.out.Seconds = load(), time.Since(began).Seconds()
	b.warn()
	return b.out, err
}

func (b *bench) all(ctx context.Context) error {
	for _, one := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"order", b.costs}, {"append", b.append}, {"delivery", b.delivery}, {"command", b.command}, {"hot", b.hot}, {"saga", b.saga}, {"replay", b.replay}, {nameMemory, b.memory},
	} {
		bound := each
		switch named := slices.Contains(b.cfg.Only, one.name); {
		case one.name == nameMemory && !named && !b.cfg.Quick, len(b.cfg.Only) > 0 && !named:
			continue
		case one.name == nameMemory:
			bound += time.Duration(b.cfg.Minutes) * time.Minute
		}
		ctx, cancel := context.WithTimeout(ctx, bound)
		err := one.do(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("benchmark %s: %w", one.name, err)
		}
	}
	return nil
}

func (b *bench) sayf(format string, args ...any) {
	if b.cfg.Say != nil {
		b.cfg.Say(format, args...)
	}
}

func (b *bench) warn() {
	if before, err := strconv.ParseFloat(b.out.Machine.LoadBefore, 64); err == nil && before > float64(b.out.Machine.Cores)/4 {
		b.out.Warnings = append(b.out.Warnings, fmt.Sprintf(
			"others were at work on this machine (load %.1f on %d cores): the absolute figures are worth little, the ratios somewhat more", before, b.out.Machine.Cores))
	}
	if b.cfg.Quick {
		b.out.Warnings = append(b.out.Warnings, "rounds were short: this shows that everything works, not how fast it is")
	}
}

// stop ends what was started.
func (b *bench) stop() error {
	var errs []error
	if b.shop != nil {
		b.shop.http.CloseIdleConnections()
	}
	if b.pool != nil {
		b.pool.Close()
	}
	if b.store != nil {
		errs = append(errs, b.store.Close())
	}
	for _, c := range []*child{b.system, b.events, b.postgres} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(errs...)
}

// subject is one of several things measured in turns.
type subject struct {
	name    string
	workers int
	per     int // operations that one call does; 0: one
	under   process
	op      func(ctx context.Context, worker int) error
}

// turns measures subjects one after the other, round after round, and puts their rows into the report.
func (b *bench) turns(ctx context.Context, name string, subjects ...subject) error {
	samples := make([][]sample, len(subjects))
	for round := range b.rounds {
		for i, s := range subjects {
			b.sayf("%s: round %d of %d: %s", name, round+1, b.rounds, s.name)
			got, err := b.closed(ctx, s.workers, s.under, s.op)
			for longer := *b; errors.Is(err, errNothing) && longer.round < time.Minute; {
				longer.round *= 4
				got, err = longer.closed(ctx, s.workers, s.under, s.op)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			samples[i] = append(samples[i], got)
		}
	}
	for i, s := range subjects {
		b.out.Rows = append(b.out.Rows, row(name, s.name, samples[i], max(1, s.per)))
	}
	return nil
}

// note adds to the latest row of a name.
func (b *bench) note(name, text string) {
	for i := range slices.Backward(b.out.Rows) {
		if b.out.Rows[i].Case == name {
			b.out.Rows[i].Note = text
			return
		}
	}
}

// profile takes a CPU profile of the whole system beside what is being measured, if that is wanted.
func (b *bench) profile(ctx context.Context, name string) (wait func() error) {
	if b.cfg.Profiles == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- b.takeProfile(ctx, name) }()
	return func() error { return <-done }
}

func (b *bench) takeProfile(ctx context.Context, name string) error {
	seconds := max(1, int(b.round.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.system.Admin+"/debug/pprof/profile?seconds="+strconv.Itoa(seconds), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := os.MkdirAll(b.cfg.Profiles, 0o750); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	f, err := os.Create(filepath.Join(b.cfg.Profiles, name+".pprof")) //nolint:gosec // where the caller wants it
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	_, err = io.Copy(f, res.Body)
	return errors.Join(err, f.Close())
}
