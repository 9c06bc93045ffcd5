package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/app"
)

func recoverCommand() *cobra.Command {
	var o app.RecoverOptions
	var dry bool
	cmd := &cobra.Command{
		Use: "recover", Short: "Make event store, Kafka and Postgres belong together again, after one was lost or restored", Args: cobra.NoArgs,
		Long: `The event store is the truth. What Postgres and Kafka know of events that it does not have is forgotten, and made again from
what it has. Nothing in the event store is removed, and no key of personal data. Secrets that were lost are replaced by
those that are there. Stop every process of the system first.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := loadQuietly(cmd)
			if err != nil {
				return err
			}
			r, err := app.Recover(cmd.Context(), cfg, version, log, o)
			if r != nil {
				err = errors.Join(printRecovery(cmd.OutOrStdout(), r), err)
			}
			if err == nil && !o.Do && !dry && len(r.Steps) > 0 {
				err = errors.New("nothing was done: give --yes to do it")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what disagrees and what would be done, and do nothing")
	cmd.Flags().BoolVar(&o.Do, "yes", false, "do it")
	cmd.Flags().BoolVar(&o.OtherStore, "accept-other-store", false, "also where Postgres was fed by an event store that has nothing to do with this one")
	cmd.Flags().BoolVar(&o.LostKeys, "accept-lost-keys", false, "also where the key-encryption key or the installation key is not the one this Postgres was made with")
	cmd.Flags().BoolVar(&o.ReadModels, "read-models", false, "build the read models anew, also where they agree")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "yes")
	return cmd
}

func printRecovery(w io.Writer, r *app.Recovery) error {
	var b strings.Builder
	if r.Password {
		fmt.Fprintln(&b, "The embedded Postgres has the password in the secrets directory now.")
	}
	if len(r.Plan.Troubles) == 0 {
		fmt.Fprintln(&b, "Event store, Kafka and Postgres belong together. There is nothing to do.")
	} else {
		fmt.Fprintln(&b, "What disagrees:")
	}
	for _, t := range r.Plan.Troubles {
		fmt.Fprintf(&b, "  %s\n", t.What)
	}
	for i, l := range r.Lost {
		if i == 0 {
			fmt.Fprintln(&b, "What Postgres and Kafka still know of, and the event store does not have:")
		}
		fmt.Fprintf(&b, "  %s\n", l)
	}
	for i, s := range r.Steps {
		if i == 0 {
			fmt.Fprintln(&b, "What is done:")
		}
		fmt.Fprintf(&b, "  %d. %s\n", i+1, s)
	}
	if r.File != "" {
		fmt.Fprintf(&b, "This is kept in %s.\n", r.File)
	}
	if r.Done {
		fmt.Fprintln(&b, "Done. Start the system; `daybook doctor` checks it.")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
