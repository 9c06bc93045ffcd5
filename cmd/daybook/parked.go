package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/kit/runtime"
)

const aboutParking = `An event that cannot be applied to a row of a read model parks that row: later events for the row wait, and all other rows go on.
As long as anything is parked, /readyz is red and queries for that row answer 503 row_parked. To get back to green:

  1. daybook projections parked             what is parked, at which event, and why
  2. If the cause is mended (a new program, a repaired table):
     daybook projections retry --all        apply the events again, and what waits behind them
  3. If the event can never be applied:
     daybook projections skip ID --reason R leave that one event out of that row, for good

retry and skip wait for the outcome and say what is still parked. The log is never changed. daybook doctor then checks every row.`

func parkedCommand() *cobra.Command {
	var ask askOperator
	cmd := &cobra.Command{
		Use: "parked [NAME]", Short: "Rows that wait behind an event that could not be applied", Args: cobra.MaximumNArgs(1),
		Long:    aboutParking,
		Example: "  daybook projections parked\n  daybook projections parked order_details -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			table, err := ask.table(cmd.OutOrStdout())
			if err != nil {
				return err
			}
			query := url.Values{}
			if len(args) == 1 {
				query.Set("projection", args[0])
			}
			var all runtime.ParkedRows
			if err := ask.get(cmd, "/admin/v1/parked", query, &all); err != nil {
				return fmt.Errorf("parked: %w", err)
			}
			if !table {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return printParked(cmd.OutOrStdout(), all)
		},
	}
	ask.flags(cmd)
	return cmd
}

func printParked(w io.Writer, all runtime.ParkedRows) error {
	if len(all.Items) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is parked.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tPROJECTION\tROW\tEVENT\tPOSITION\tWAITING\tSINCE")
	for _, p := range all.Items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s of %s\t%s\t%d\t%s\n", p.ID, projectionText(p), rowText(p), p.Type, p.Stream, p.Position, p.Waiting, p.Since.Format(time.RFC3339))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for _, p := range all.Items {
		fmt.Fprintf(&b, "%s: %s\n", p.ID, p.Error)
	}
	if !all.Complete {
		b.WriteString("There are more.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func projectionText(p runtime.ParkedRow) string {
	if p.Serves {
		return p.Projection
	}
	return fmt.Sprintf("%s (version %d, does not serve)", p.Projection, p.Version)
}

func rowText(p runtime.ParkedRow) string {
	switch {
	case p.Whole:
		return "all of " + p.Key
	case p.Suffix != "":
		return p.Key + "/" + p.Suffix
	}
	return p.Key
}

func retryCommand() *cobra.Command {
	var ask askOperator
	var everything bool
	cmd := &cobra.Command{
		Use: "retry ID... | --all", Short: "Apply the event that failed once more, and what waits behind it",
		Long:    "IDs are those of  daybook projections parked.  Helps where the cause is mended. Waits for the outcome; ends with 1 if something is still parked.",
		Example: "  daybook projections retry 1f0c2d7a99e3\n  daybook projections retry --all",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if everything != (len(ids) == 0) {
				return errors.New("retry: name IDs, or --all")
			}
			if everything {
				var all runtime.ParkedRows
				if err := ask.get(cmd, "/admin/v1/parked", nil, &all); err != nil {
					return fmt.Errorf("retry: %w", err)
				}
				ids = idsOf(all)
			}
			return operateOn(cmd, &ask, "retry", ids, struct{}{})
		},
	}
	ask.flags(cmd)
	cmd.Flags().BoolVar(&everything, "all", false, "everything that is parked")
	return cmd
}

func skipCommand() *cobra.Command {
	var ask askOperator
	var reason string
	cmd := &cobra.Command{
		Use: "skip ID... --reason R", Short: "Leave an event out of the row that it fails for, for good, and apply what waits behind it", Args: cobra.MinimumNArgs(1),
		Long: "IDs are those of  daybook projections parked.  The event stays in the log; later builds whose code fails at it leave it out as well.\n" +
			"If the next event fails too, the row stays parked, under another ID. Waits for the outcome; ends with 1 if something is still parked.",
		Example: `  daybook projections skip 1f0c2d7a99e3 --reason "written by a test client, means nothing"`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if strings.TrimSpace(reason) == "" {
				return errors.New("skip: --reason is required: say why the event is left out")
			}
			return operateOn(cmd, &ask, "skip", ids, map[string]string{"reason": reason})
		},
	}
	ask.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why the event is left out (required)")
	return cmd
}

func idsOf(all runtime.ParkedRows) (ids []string) {
	seen := map[string]bool{}
	for _, p := range all.Items {
		if !seen[p.ID] {
			seen[p.ID] = true
			ids = append(ids, p.ID)
		}
	}
	return ids
}

const (
	carriedOutWithin = time.Minute
	carriedOutEvery  = 200 * time.Millisecond
)

// operateOn acts on what is parked, and waits until that is carried out.
func operateOn(cmd *cobra.Command, ask *askOperator, verb string, ids []string, body any) error {
	table, err := ask.table(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	done := map[string]uint64{}
	for _, id := range ids {
		var op runtime.Operation
		if err := ask.send(cmd, http.MethodPost, "/admin/v1/parked/"+url.PathEscape(id)+"/"+verb, body, &op); err != nil {
			return fmt.Errorf("%s %s: %w", verb, id, err)
		}
		if done[id], err = strconv.ParseUint(op.Position, 10, 64); err != nil {
			return fmt.Errorf("%s %s: read the answer: %w", verb, id, err)
		}
	}
	var left runtime.ParkedRows
	for until := time.Now().Add(carriedOutWithin); ; {
		if err := ask.get(cmd, "/admin/v1/parked", nil, &left); err != nil {
			return fmt.Errorf("%s: wait for the outcome: %w", verb, err)
		}
		pending := pendingOf(left, done)
		if pending == 0 {
			break
		}
		if time.Now().After(until) {
			return fmt.Errorf("%s: recorded, but %d rows are not carried out yet: is a process with the role projections running?", verb, pending)
		}
		select {
		case <-time.After(carriedOutEvery):
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		}
	}
	if !table {
		err = printJSON(cmd.OutOrStdout(), left)
	} else {
		err = printParked(cmd.OutOrStdout(), left)
	}
	if err == nil && len(left.Items) > 0 {
		err = fmt.Errorf("%s: %d rows are still parked", verb, len(left.Items))
	}
	return err
}

// pendingOf counts what is parked in builds that have not reached the operation on it.
func pendingOf(left runtime.ParkedRows, done map[string]uint64) (n int) {
	for _, p := range left.Items {
		if reached, err := strconv.ParseUint(p.Reached, 10, 64); err == nil && reached < done[p.ID] {
			n++
		}
	}
	return n
}
