package runtime

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/daybook-dev/daybook/internal/telemetry"
)

// Main is the main function of a program that runs a domain and has no other commands than these. `NAME [FLAGS]` runs it until it is asked
// to stop. `NAME doctor [FLAGS]` examines the system on its data directory, prints the report, and fails if something is wrong.
func Main(name string, d Domain) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, name, d, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func command(ctx context.Context, name string, d Domain, args []string, out io.Writer) error {
	examines := len(args) > 0 && args[0] == "doctor"
	if examines {
		args = args[1:]
	}
	cfg, err := Parse(name, args)
	if err != nil {
		return err
	}
	if !examines {
		return Run(ctx, d, cfg)
	}
	log, err := telemetry.NewLogger(os.Stderr, "warn", cfg.LogFormat)
	if err != nil {
		return err
	}
	r, err := Examine(ctx, d, cfg, log, ExamineOptions{})
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	if err := r.Write(out, false); err != nil {
		return err
	}
	if !r.Healthy {
		return errors.New("doctor: something is wrong, see above")
	}
	return nil
}
