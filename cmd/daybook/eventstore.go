package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/daybook-dev/daybook/internal/bytesize"
	"github.com/daybook-dev/daybook/internal/eventserver/standalone"
	"github.com/daybook-dev/daybook/internal/telemetry"
)

// eventstoreCommand is the event store as a program of its own. The settings of the whole system mean nothing to it: each of its
// commands has its flags, and the environment has them as DAYBOOK_EVENTSTORE_<FLAG>.
func eventstoreCommand() *cobra.Command {
	group := &cobra.Command{Use: "eventstore", Short: "The event store by itself: serve it, and look after its data"}
	group.SetUsageTemplate(withoutGlobalFlags(group.UsageTemplate()))
	group.AddCommand(eventstoreServe(), eventstoreBackup(), eventstoreRestore(), eventstoreVerify(), eventstoreScavenge(), eventstoreDump(), eventstoreImport())
	for _, c := range group.Commands() {
		c.PreRunE = func(cmd *cobra.Command, _ []string) error {
			return errors.Join(onlyOwnFlags(cmd), fromEnvironment(cmd))
		}
	}
	return group
}

func withoutGlobalFlags(template string) string {
	from := strings.Index(template, "{{if .HasAvailableInheritedFlags}}")
	to := strings.Index(template, "{{if .HasHelpSubCommands}}")
	if from < 0 || to < from {
		return template
	}
	return template[:from] + template[to:]
}

// onlyOwnFlags refuses the whole system's flags.
func onlyOwnFlags(cmd *cobra.Command) error {
	var errs []error
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			errs = append(errs, fmt.Errorf("unknown flag: --%s", f.Name))
		}
	})
	return errors.Join(errs...)
}

// fromEnvironment fills in the flags that were not given. Of a store that is named by a flag the environment does not name another.
func fromEnvironment(cmd *cobra.Command) error {
	var errs []error
	named := cmd.Flags().Changed("data-dir") || cmd.Flags().Changed("eventstore")
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		name := "DAYBOOK_EVENTSTORE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if f.Name == "eventstore" {
			name = "DAYBOOK_EVENTSTORE"
		}
		value := os.Getenv(name)
		if value == "" || f.Changed || cmd.Name() != "serve" && !slices.Contains([]string{"data-dir", "eventstore", "user", "password-file"}, f.Name) || named && slices.Contains([]string{"data-dir", "eventstore"}, f.Name) {
			return
		}
		if err := f.Value.Set(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	})
	return errors.Join(errs...)
}

func eventstoreServe() *cobra.Command {
	var c standalone.Config
	var adminFile, opsFile, level, format string
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve an event store that any client of EventStoreDB can use", Args: cobra.NoArgs,
		Long: `Serve an event store that any client of EventStoreDB can use.

With a certificate it is a secured one: TLS, and users with passwords. Without, it listens on this machine only, unless --insecure
says that everybody may do everything. Each flag can also be given in the environment, --data-dir as DAYBOOK_EVENTSTORE_DATA_DIR.
The users' first passwords are given by file, or in DAYBOOK_EVENTSTORE_ADMIN_PASSWORD and DAYBOOK_EVENTSTORE_OPS_PASSWORD.`,
		Example: `  daybook eventstore serve --data-dir /var/lib/eventstore
  daybook eventstore serve --data-dir /var/lib/eventstore --listen 0.0.0.0:2113 --advertise db.example:2113 \
      --tls-cert cert.pem --tls-key key.pem --admin-password-file admin.txt`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			log, err := telemetry.NewLogger(cmd.ErrOrStderr(), level, format)
			if err != nil {
				return err
			}
			if c.AdminPassword, err = secret(adminFile, "DAYBOOK_EVENTSTORE_ADMIN_PASSWORD"); err != nil {
				return fmt.Errorf("--admin-password-file: %w", err)
			}
			if c.OpsPassword, err = secret(opsFile, "DAYBOOK_EVENTSTORE_OPS_PASSWORD"); err != nil {
				return fmt.Errorf("--ops-password-file: %w", err)
			}
			return standalone.Serve(cmd.Context(), c, version, log, telemetry.NewRegistry(version), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.DataDir, "data-dir", "", "directory of the events; made if there is none")
	f.StringVar(&c.Listen, "listen", "127.0.0.1:2113", "address to serve on")
	f.StringVar(&c.AdminListen, "admin-listen", "", "address of /metrics, /healthz and /livez, or none (127.0.0.1:2114, or a free port)")
	f.StringVar(&c.Socket, "socket", "", "path of a Unix socket to serve on as well, for this user's processes")
	f.StringVar(&c.Advertise, "advertise", "", "host:port that clients connect to, where it is not the one listened on")
	f.StringVar(&c.CertFile, "tls-cert", "", "certificate, PEM: makes the server a secured one")
	f.StringVar(&c.KeyFile, "tls-key", "", "its key, PEM")
	f.BoolVar(&c.Insecure, "insecure", false, "serve other machines without TLS and without asking who they are")
	f.StringVar(&adminFile, "admin-password-file", "", "file with the password that the user admin gets in a new store")
	f.StringVar(&opsFile, "ops-password-file", "", "the same of the user ops; default: a random one")
	f.Var(&size{set: func(n int64) { c.MaxAppend = int(n) }, text: "1MiB"}, "max-append-size", "most that one append may hold")
	f.Var(&size{set: func(n int64) { c.MinFree = uint64(n) }, text: "64MiB"}, "min-free", "appends are refused while the disk has less space than this")
	f.Var(&size{set: func(n int64) { c.Cache = n }, text: "64MiB"}, "cache", "memory for what was read")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&format, "log-format", defaultFormat(), "text or json")
	return cmd
}

// secret reads a password from a file, or from the environment; it is never printed.
func secret(file, env string) (string, error) {
	if file == "" {
		return os.Getenv(env), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return s, nil
}

func defaultFormat() string {
	if terminal(os.Stderr) {
		return "text"
	}
	return "json"
}

func terminal(w any) bool {
	if out, ok := w.(*standardOutput); ok {
		w = out.to
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// size is a flag of bytes: a number, or one with KiB, MiB or GiB.
type size struct {
	set  func(int64)
	text string
}

// String implements pflag.Value.
func (s *size) String() string { return s.text }

// Type implements pflag.Value.
func (s *size) Type() string { return "bytes" }

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	n, err := bytesize.Parse(text)
	if err != nil {
		return err
	}
	s.set(n)
	s.text = text
	return nil
}
