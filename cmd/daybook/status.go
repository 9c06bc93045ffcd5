package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/kit/runtime"
)

func statusCommand() *cobra.Command {
	var ask askOperator
	var verbose bool
	cmd := &cobra.Command{
		Use: "status", Short: "How far the running system's read models are behind the head of the log", Args: cobra.NoArgs,
		Long: "Asks the admin API of the system that runs on --data-dir, or at --server. Events are those that are recorded and not applied,\n" +
			"seconds the age of the oldest of them. A read model of which nothing is behind is one line.\n" +
			"States: current, behind, and rebuilding where no build serves of a version that the program knows.",
		Example: "  daybook status\n  daybook status -v\n  daybook status -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			table, err := ask.table(cmd.OutOrStdout())
			if err != nil {
				return err
			}
			var all runtime.Projections
			if err := ask.get(cmd, "/admin/v1/projections", nil, &all); err != nil {
				return fmt.Errorf("status: %w", err)
			}
			if !table {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return printStatus(cmd.OutOrStdout(), all, verbose)
		},
	}
	ask.flags(cmd)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "a line for every partition")
	return cmd
}

func printStatus(w io.Writer, all runtime.Projections, verbose bool) error {
	least := ""
	if !all.Complete {
		least = "+"
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROJECTION\tPARTITION\tEVENTS\tSECONDS\tSTATE")
	for _, p := range all.Items {
		whole := p.Events == 0 && !verbose || len(p.Partitions) == 0
		if whole || p.State == "rebuilding" {
			fmt.Fprintf(t, "%s\tall\t%d\t%.1f\t%s\n", p.Name, p.Events, p.Seconds, p.State)
			continue
		}
		for _, one := range p.Partitions {
			switch {
			case one.Events > 0:
				fmt.Fprintf(t, "%s\t%d\t%d%s\t%.1f\t%s\n", p.Name, one.Partition, one.Events, least, one.Seconds, one.State)
			case verbose:
				fmt.Fprintf(t, "%s\t%d\t0\t%.1f\t%s\n", p.Name, one.Partition, one.Seconds, one.State)
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !all.Complete {
		if _, err := fmt.Fprintln(w, "+: at least; not every event that is not applied was counted."); err != nil {
			return err
		}
	}
	return nil
}
