package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/bench"
	"github.com/daybook-dev/daybook/internal/wholefile"
)

func benchCommand() *cobra.Command {
	var c bench.Config
	var asJSON bool
	var out string
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure the system beside pgx and the disk of this machine", Args: cobra.NoArgs,
		Long: "Starts servers of its own on a new directory, measures them, and prints throughput, latencies, CPU and memory\n" +
			"beside one INSERT per event through pgx and beside bare synced writes, in the same run. Nothing that runs is touched.",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.Binary == "" {
				if c.Binary, err = os.Executable(); err != nil {
					return fmt.Errorf("bench: find this program: %w", err)
				}
			}
			if c.Catalog, err = app.NewCatalog(); err != nil {
				return err
			}
			c.Version = version
			c.Say = func(format string, args ...any) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			report, err := bench.Run(cmd.Context(), c)
			if report != nil {
				err = errors.Join(err, printBench(cmd.OutOrStdout(), report, asJSON, out))
			}
			if err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&c.Quick, "quick", false, "short rounds, to see that everything works")
	f.StringSliceVar(&c.Only, "only", nil, "which of "+strings.Join(bench.Names(), ", ")+" (default all but memory)")
	f.IntVar(&c.Minutes, "minutes", 0, "how long memory is watched under load (default 10; quick: as many seconds, 2)")
	f.IntVar(&c.Buyers, "buyers", 0, "who place orders meanwhile (default 64; quick 4)")
	f.DurationVar(&c.Round, "round", 0, "how long each thing is measured at a time (default 2s; quick 300ms)")
	f.IntVar(&c.Rounds, "rounds", 0, "how often (default 3; quick once)")
	f.StringVar(&c.Binary, "binary", "", "another build of this program, whose servers are measured (default: this one)")
	f.StringVar(&c.Dir, "dir", "", "directory on the disk to be measured (default: the system's for temporary files)")
	f.StringVar(&c.Profiles, "profiles", "", "directory for CPU profiles of the system under test")
	f.BoolVar(&asJSON, "json", false, "print JSON instead of the table")
	f.StringVar(&out, "out", "", "also write the JSON to this file")
	return cmd
}

func printBench(w io.Writer, r *bench.Report, asJSON bool, file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	b = append(b, '\n')
	if file != "" {
		if err := wholefile.Write(file, b); err != nil {
			return fmt.Errorf("write the figures: %w", err)
		}
	}
	if asJSON {
		_, err = w.Write(b)
	} else {
		_, err = io.WriteString(w, r.String())
	}
	return err
}
