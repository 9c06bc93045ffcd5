package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/kit/runtime"
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
			report, err := app.Examine(cmd.Context(), cfg, log, runtime.ExamineOptions{Settle: settle})
			if err != nil {
				return fmt.Errorf("doctor: %w", err)
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = report.Write(cmd.OutOrStdout(), verbose)
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
