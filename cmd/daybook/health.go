package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthCommand is what a container without a shell is asked by.
func healthCommand() *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "Ask the process at --admin-listen whether it is ready", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := load(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			at := strings.Replace(cfg.AdminListen, "0.0.0.0", "127.0.0.1", 1)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/readyz", nil)
			if err != nil {
				return fmt.Errorf("health: %w", err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return fmt.Errorf("health: %w", err)
			}
			defer func() { _ = res.Body.Close() }()
			said, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("not ready: %s", strings.TrimSpace(string(said)))
			}
			_, err = cmd.OutOrStdout().Write(said)
			return err
		},
	}
}
