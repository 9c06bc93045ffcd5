package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/eventserver/standalone"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// tool is a command that works on a running server or on the directory of a stopped one.
type tool struct {
	target       standalone.Target
	passwordFile string
	asJSON       bool
}

func (t *tool) command(use, short, example string, run func(*cobra.Command, standalone.Store) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if t.target.Password, err = secret(t.passwordFile, "DAYBOOK_EVENTSTORE_PASSWORD"); err != nil {
				return fmt.Errorf("--password-file: %w", err)
			}
			s, err := t.target.Open()
			if err != nil {
				return err
			}
			return errors.Join(run(cmd, s), s.Close())
		}}
	f := cmd.Flags()
	f.StringVar(&t.target.Dir, "data-dir", "", "directory of a store that is not being served")
	f.StringVar(&t.target.Connection, "eventstore", "", "connection string of a running server, esdb://…, or unix:PATH of its socket")
	f.StringVar(&t.target.User, "user", "", "user of a secured server, if the connection string names none")
	f.StringVar(&t.passwordFile, "password-file", "", "file with the user's password; or DAYBOOK_EVENTSTORE_PASSWORD")
	f.BoolVar(&t.asJSON, "json", false, "print the outcome as JSON")
	return cmd
}

// say prints an outcome, for people or as JSON.
func (t *tool) say(w io.Writer, outcome any, format string, args ...any) error {
	if t.asJSON {
		return json.NewEncoder(w).Encode(outcome)
	}
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

func eventstoreBackup() *cobra.Command {
	t, to := &tool{}, ""
	cmd := t.command("backup --to FILE.tar|DIR|-", "Copy a store as it is now; a running one goes on meanwhile",
		`  daybook eventstore backup --eventstore esdb://localhost:2113?tls=false --to /backups/monday.tar`,
		func(cmd *cobra.Command, s standalone.Store) error {
			if to == "" {
				return errors.New("--to: say where to: a directory, a file FILE.tar, or - for standard output")
			}
			show, end := counting(cmd.ErrOrStderr(), "bytes")
			m, err := standalone.Backup(cmd.Context(), counted{s, show}, to, cmd.OutOrStdout())
			end()
			if err != nil {
				return err
			}
			bytes := int64(0)
			for _, f := range m.Files {
				bytes += f.Size
			}
			out := cmd.OutOrStdout()
			if to == "-" {
				out = cmd.ErrOrStderr()
			}
			return t.say(out, m, "backed up to %s: everything up to position %d at least, %d files, %d bytes, history %s", to, m.Position, len(m.Files), bytes, m.Incarnation)
		})
	cmd.Flags().StringVar(&to, "to", "", "a directory, a file FILE.tar, or - for an archive on standard output")
	return cmd
}

func eventstoreRestore() *cobra.Command {
	var from, dir string
	t := &tool{}
	cmd := &cobra.Command{Use: "restore --from FILE.tar|DIR --data-dir DIR", Short: "Make a data directory of a backup: a history of its own, with a new incarnation id", Args: cobra.NoArgs,
		Example: `  daybook eventstore restore --from /backups/monday.tar --data-dir /var/lib/eventstore`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || dir == "" {
				return errors.New("say --from which backup and to which --data-dir")
			}
			r, err := eventserver.Restore(cmd.Context(), from, dir)
			if err != nil {
				return err
			}
			return t.say(cmd.OutOrStdout(), r, "restored to %s and verified: %d events in %d streams up to position %d, new history %s", dir, r.Events, r.Streams, r.Position, r.Incarnation)
		}}
	cmd.Flags().StringVar(&from, "from", "", "a backup: a directory or a file")
	cmd.Flags().StringVar(&dir, "data-dir", "", "directory to be made; it must be absent or empty")
	cmd.Flags().BoolVar(&t.asJSON, "json", false, "print the outcome as JSON")
	return cmd
}

func eventstoreVerify() *cobra.Command {
	t := &tool{}
	return t.command("verify", "Read everything and compare it: checksums, index, streams; exit code 1 if something is damaged",
		`  daybook eventstore verify --data-dir /var/lib/eventstore`,
		func(cmd *cobra.Command, s standalone.Store) error {
			r, err := s.Verify(cmd.Context())
			var found *store.DamageError
			switch {
			case errors.As(err, &found):
				if t.asJSON {
					if err := json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"report": r, "damage": found.Found, "more": found.More}); err != nil {
						return err
					}
				} else {
					for _, d := range found.Found {
						fmt.Fprintln(cmd.OutOrStdout(), d)
					}
				}
				more := ""
				if found.More {
					more = ", and perhaps more"
				}
				return fmt.Errorf("%w: %d places%s", store.ErrCorrupt, len(found.Found), more)
			case err != nil:
				return err
			}
			return t.say(cmd.OutOrStdout(), map[string]any{"report": r}, "whole: %d events in %d streams up to position %d, %d bytes, history %s", r.Events, r.Streams, r.Position, r.Bytes, r.Incarnation)
		})
}

func eventstoreScavenge() *cobra.Command {
	t := &tool{}
	return t.command("scavenge", "Remove for good what metadata and deletions hide, and give the space back",
		`  daybook eventstore scavenge --eventstore esdb://localhost:2113?tls=false`,
		func(cmd *cobra.Command, s standalone.Store) error {
			got, err := s.Scavenge(cmd.Context())
			if err != nil {
				return err
			}
			return t.say(cmd.OutOrStdout(), got, "scavenged: %d events of %d streams, %d bytes of data and metadata", got.Events, got.Streams, got.Bytes)
		})
}

func eventstoreDump() *cobra.Command {
	t, o := &tool{}, store.DumpOptions{}
	cmd := t.command("dump", "Write events as NDJSON to standard output",
		`  daybook eventstore dump --data-dir /var/lib/eventstore > all.ndjson`,
		func(cmd *cobra.Command, s standalone.Store) error {
			show, end := counting(cmd.ErrOrStderr(), "events")
			o.Progress = show
			n, err := s.Dump(cmd.Context(), cmd.OutOrStdout(), o)
			end()
			if err != nil {
				return err
			}
			return t.say(cmd.ErrOrStderr(), map[string]uint64{"events": n}, "dumped %d events", n)
		})
	cmd.Flags().StringVar(&o.Stream, "stream", "", "only this stream's events, as a reader sees them")
	cmd.Flags().Uint64Var(&o.From, "from", 0, "the position to begin at")
	return cmd
}

func eventstoreImport() *cobra.Command {
	t, o, from := &tool{}, store.ImportOptions{}, ""
	cmd := t.command("import", "Add events of NDJSON, as dump writes it, with their ids, revisions and times",
		`  daybook eventstore dump --data-dir old | daybook eventstore import --data-dir new
  daybook eventstore import --eventstore esdb://localhost:2113?tls=false --from all.ndjson`,
		func(cmd *cobra.Command, s standalone.Store) error {
			in := cmd.InOrStdin()
			if from != "" && from != "-" {
				f, err := os.Open(from)
				if err != nil {
					return fmt.Errorf("--from: %w", err)
				}
				defer f.Close() //nolint:errcheck // it is only read
				in = f
			}
			show, end := counting(cmd.ErrOrStderr(), "lines")
			o.Progress = func(i store.Imported) { show(i.Lines) }
			total, err := s.Import(cmd.Context(), in, o)
			end()
			if said := t.say(cmd.OutOrStdout(), total, "%d lines: %d events added, %d there already, %d left out%s", total.Lines, total.Added, total.Present, total.LeftOut, redated(total)); err == nil {
				return said
			}
			return fmt.Errorf("import: %w", err)
		})
	cmd.Flags().StringVar(&from, "from", "", "file to read; default: standard input")
	cmd.Flags().BoolVar(&o.Partial, "partial", false, "let streams begin later than at revision 0, where the dump is of a scavenged store or of a part")
	cmd.Flags().BoolVar(&o.LeaveSystem, "no-system", false, "leave out the streams whose names begin with $, such as the users")
	return cmd
}

func redated(i store.Imported) string {
	if i.Redated == 0 {
		return ""
	}
	return fmt.Sprintf(", %d dated later than they were, because the store had newer events", i.Redated)
}

// counting shows a number that grows, on a terminal; elsewhere nothing.
func counting(w io.Writer, what string) (show func(uint64), end func()) {
	if !terminal(w) {
		return func(uint64) {}, func() {}
	}
	began, last, shown := time.Now(), time.Time{}, false
	return func(n uint64) {
			if now := time.Now(); now.Sub(last) >= 100*time.Millisecond {
				last, shown = now, true
				fmt.Fprintf(w, "\r%d %s, %.0f/s \x1b[K", n, what, float64(n)/now.Sub(began).Seconds())
			}
		}, func() {
			if shown {
				fmt.Fprintf(w, "\r\x1b[K")
			}
		}
}

// counted counts a backup's bytes.
type counted struct {
	standalone.Store

	show func(uint64)
}

// Archive implements standalone.Store.
func (c counted) Archive(ctx context.Context, w io.Writer) error {
	return c.Store.Archive(ctx, &counter{w: w, show: c.show})
}

type counter struct {
	w    io.Writer
	show func(uint64)
	n    uint64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += uint64(n) //nolint:gosec // not negative
	c.show(c.n)
	return n, err
}
