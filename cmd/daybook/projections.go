package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/kit/runtime"
)

func projectionsCommand() *cobra.Command {
	group := &cobra.Command{Use: "projections", Short: "Read models", Long: aboutParking}
	group.AddCommand(parkedCommand(), retryCommand(), skipCommand(), whyCommand())
	return group
}

func whyCommand() *cobra.Command {
	var ask askOperator
	var suffix string
	var after int64
	var limit int
	cmd := &cobra.Command{
		Use: "why NAME KEY", Short: "The events that made a row, in their order, each with the fields it changed and who caused it", Args: cobra.ExactArgs(2),
		Long: "NAME is the read model's table, KEY the first part of the row's key: the id of an order, a SKU, a customer's id. Where a key has several\n" +
			"rows, --suffix says which. Asks the admin API of the system that runs on --data-dir, or at --server.\n" +
			"A field is named by its JSON pointer into the row. Personal data is shown as a text that says whose it is.",
		Example: "  daybook projections why order_details tour-1\n  daybook projections why stock_levels MUG-BLUE --limit 5 -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			table, err := ask.table(cmd.OutOrStdout())
			if err != nil {
				return err
			}
			query := url.Values{"key": {args[1]}, "limit": {strconv.Itoa(limit)}}
			if suffix != "" {
				query.Set("suffix", suffix)
			}
			if cmd.Flags().Changed("after") {
				query.Set("after", strconv.FormatInt(after, 10))
			}
			var why runtime.Explanation
			if err := ask.get(cmd, "/admin/v1/projections/"+url.PathEscape(args[0])+"/why", query, &why); err != nil {
				return fmt.Errorf("why: %w", err)
			}
			if !table {
				return printJSON(cmd.OutOrStdout(), why)
			}
			return printWhy(cmd.OutOrStdout(), why)
		},
	}
	ask.flags(cmd)
	cmd.Flags().StringVar(&suffix, "suffix", "", "which row of the key")
	cmd.Flags().Int64Var(&after, "after", 0, "go on after this version of the row")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many events at most, 200 at most")
	return cmd
}

func printWhy(w io.Writer, why runtime.Explanation) error {
	var b strings.Builder
	for _, c := range why.Items {
		fmt.Fprintf(&b, "%d  %s  %s  %s@%d", c.Version, c.At.Format(time.RFC3339), c.Type, c.Stream, c.Revision)
		if !c.RecordedAt.Truncate(time.Second).Equal(c.At.Truncate(time.Second)) {
			fmt.Fprintf(&b, ", recorded %s", c.RecordedAt.Format(time.RFC3339))
		}
		b.WriteString("\n")
		by := []string{}
		if c.Actor != nil {
			by = append(by, "by "+c.Actor.Kind+" "+c.Actor.ID)
		}
		if c.Command != nil {
			by = append(by, "command "+c.Command.Name+" "+c.Command.ID)
		}
		if c.Answers != nil {
			by = append(by, "answers "+c.Answers.Instance)
		}
		if c.Process != "" {
			by = append(by, "correlation "+c.Process)
		}
		if len(by) > 0 {
			fmt.Fprintf(&b, "     %s\n", strings.Join(by, ", "))
		}
		for _, f := range c.Changes {
			fmt.Fprintf(&b, "     %s: %s\n", f.Pointer, changeText(f))
		}
		if len(c.Changes) == 0 {
			b.WriteString("     changes nothing\n")
		}
	}
	if why.Next != nil {
		fmt.Fprintf(&b, "There are more: --after %d\n", *why.Next)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// changeText is a change for people. What was not there is left out, which null is not.
func changeText(f runtime.RowChange) string {
	switch {
	case f.Before == nil:
		return string(f.After)
	case f.After == nil:
		return string(f.Before) + " → gone"
	}
	return string(f.Before) + " → " + string(f.After)
}
