package main

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/telemetry"
)

const serveName = "serve"

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: serveName, Short: "Run the roles of this process, by default all of them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			signal.Ignore(syscall.SIGPIPE) // a server goes on without the terminal or the log that it wrote to
			cfg, _, err := load(cmd)
			if err != nil {
				return err
			}
			cfg.BoundMemory()
			log, err := telemetry.NewLogger(cmd.ErrOrStderr(), cfg.LogLevel, cfg.LogFormat)
			if err != nil {
				return err
			}
			node, err := app.Start(cmd.Context(), cfg, version, log)
			switch {
			case err != nil && cmd.Context().Err() != nil:
				return nil // stopped before it had begun
			case err != nil:
				return err
			}
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- node.Run(ctx) }()
			switch err := node.Ready(ctx, func(what string) { log.Info("starting: " + what) }); {
			case err == nil:
				node.Banner(ctx, cmd.OutOrStdout(), time.Since(began))
			case ctx.Err() == nil:
				stop()
				return errors.Join(err, <-ended)
			}
			return <-ended
		},
	}
}
