package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/doctor"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/sagas"
)

func doctorCommand() *cobra.Command {
	var asJSON, verbose bool
	settle := time.Minute
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check that event store, Kafka, Postgres and the payment provider agree", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := loadQuietly(cmd)
			if err != nil {
				return err
			}
			report, err := examine(cmd.Context(), cfg, log, settle)
			if err != nil {
				return fmt.Errorf("doctor: %w", err)
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = printReport(cmd.OutOrStdout(), report, verbose)
			}
			if err == nil && !report.Healthy {
				err = errors.New("doctor: something is wrong, see above")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say how long each part took")
	cmd.Flags().DurationVar(&settle, "settle", settle, "how long a running system may take to come to rest")
	return cmd
}

// examine looks at the system that runs, or else at what one has left behind, with its servers alone.
func examine(ctx context.Context, cfg app.Config, log *slog.Logger, settle time.Duration, acknowledged ...doctor.Acknowledged) (_ *doctor.Report, err error) {
	system, err := app.Attach(ctx, cfg, log)
	stopped := errors.Is(err, fs.ErrNotExist)
	if stopped {
		var release func() error
		if cfg, release, err = servers(ctx, cfg, log); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, release()) }()
		system, err = app.Attach(ctx, cfg, log)
	}
	if err != nil {
		return nil, err
	}
	defer system.Close()
	machines, err := machine.Compile(sagas.All(sagas.Deadlines{})...)
	if err != nil {
		return nil, err
	}
	keys, err := app.TopicKeys(cfg, log)
	if err != nil {
		return nil, err
	}
	ask := doctor.Config{
		Keys: keys, Log: system.Store, Catalog: system.Catalog, Sagas: machines, Pool: system.Pool, Projections: app.Projections(),
		Brokers: strings.Split(system.Addresses.Kafka, ","), Settle: settle, Stopped: stopped, Acknowledged: acknowledged,
	}
	if cfg.PaymentProvider == "" || stopped { // the simulator: another provider has no such ledger
		ask.Provider = app.AddressesOf(system.Addresses).PaymentProvider
	}
	return doctor.Examine(ctx, ask)
}

// servers starts the embedded servers of a data directory, those that have no address elsewhere, and nothing that would change
// anything. The Config that it gives has all addresses.
func servers(ctx context.Context, cfg app.Config, log *slog.Logger) (app.Config, func() error, error) {
	alone := cfg
	alone.Roles = []string{app.RoleEventStore, app.RoleKafka, app.RolePostgres, app.RoleSimulator}
	const free = "127.0.0.1:0"
	alone.AdminListen, alone.EventStoreListen, alone.KafkaListen, alone.PostgresListen, alone.SimulatorListen = free, free, free, free, free
	node, err := app.Start(ctx, alone, version, log)
	if err != nil {
		return cfg, nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- node.Run(running) }()
	at := app.AddressesOf(node.Addresses())
	cfg.EventStore, cfg.Kafka = cmp.Or(at.EventStore, cfg.EventStore), cmp.Or(at.Kafka, cfg.Kafka)
	cfg.Postgres, cfg.PaymentProvider = cmp.Or(at.Postgres, cfg.Postgres), cmp.Or(at.PaymentProvider, cfg.PaymentProvider)
	return cfg, func() error { stop(); return <-ended }, nil
}

func printReport(w io.Writer, r *doctor.Report, verbose bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Looked at everything up to position %d in %.1f s:\n", r.Position, r.Seconds)
	for _, what := range slices.Sorted(maps.Keys(r.Checked)) {
		fmt.Fprintf(&b, "  %-24s %d\n", what, r.Checked[what])
	}
	if verbose {
		for _, t := range r.Took {
			fmt.Fprintf(&b, "  %7.2f s  %-30s %s\n", t.Seconds, t.Part, t.Invariants)
		}
	}
	list := func(title string, lines []string) {
		for i, l := range lines {
			if i == 0 {
				fmt.Fprintln(&b, title)
			}
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	list("Not looked at:", r.Skipped)
	list("Worth knowing:", r.Notes)
	if !r.AtRest {
		list("The system was not at rest. What moves is only looked at as far as it can be:", r.Moving)
	}
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	if r.Healthy {
		fmt.Fprintln(&b, "All is well.")
	}
	for _, i := range slices.Sorted(maps.Keys(r.Breaches)) {
		fmt.Fprintf(&b, "%s is broken %d times.\n", i, r.Breaches[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}
