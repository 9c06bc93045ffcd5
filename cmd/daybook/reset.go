package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/telemetry"
)

func relayCommand() *cobra.Command {
	group := &cobra.Command{Use: "relay", Short: "The way from the event store to Kafka"}
	group.AddCommand(resetCommand("Forget how far the relay has come and delete the topic; the next relay publishes the whole log",
		"The relay begins again at the start of the log.", app.ResetRelay))
	return group
}

func projectionsCommand() *cobra.Command {
	group := &cobra.Command{Use: "projections", Short: "The read models"}
	group.AddCommand(resetCommand("Drop every read model; the next start builds them again from the log",
		"The read models are built again at the next start.", app.ResetProjections))
	return group
}

func resetCommand(short, said string, reset func(context.Context, app.Config, string, *slog.Logger) error) *cobra.Command {
	return &cobra.Command{
		Use: "reset", Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := load(cmd)
			if err != nil {
				return err
			}
			log, err := telemetry.NewLogger(cmd.ErrOrStderr(), "warn", cfg.LogFormat)
			if err != nil {
				return err
			}
			if err := reset(cmd.Context(), cfg, version, log); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			return err
		},
	}
}
