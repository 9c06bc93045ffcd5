package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/telemetry"
)

func relayCommand() *cobra.Command {
	group := &cobra.Command{Use: "relay", Short: "The way from the event store to Kafka"}
	group.AddCommand(&cobra.Command{
		Use: "reset", Short: "Forget how far the relay has come and delete the topic; the next relay publishes the whole log", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := load(cmd)
			if err != nil {
				return err
			}
			log, err := telemetry.NewLogger(cmd.ErrOrStderr(), "warn", cfg.LogFormat)
			if err != nil {
				return err
			}
			if err := app.ResetRelay(cmd.Context(), cfg, version, log); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "The relay begins again at the start of the log.")
			return err
		},
	})
	return group
}
