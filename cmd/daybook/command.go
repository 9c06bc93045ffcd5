package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/telemetry"
)

// command is the whole command line.
func command(out, errs io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use: "daybook", Short: "A headless order backend that forgets nothing.", Version: version,
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate(versionLine())
	root.SetOut(out)
	root.SetErr(errs)
	flags := root.PersistentFlags()
	flags.String("config", "", "YAML file of settings (DAYBOOK_CONFIG)")
	for _, f := range app.Flags() {
		value := flags.VarPF(&given{kind: f.Kind}, f.Name, "", f.Help)
		value.DefValue = f.Default
		if f.Kind == "bool" {
			value.NoOptDefVal = "true"
		}
	}
	root.AddCommand(serveCommand(), importCommand(), demoCommand(), benchCommand(), recoverCommand(), configCommand(), healthCommand(), statusCommand(), projectionsCommand(), doctorCommand(), eventstoreCommand(), versionCommand())
	return root
}

// given is the text of a flag as the command line has it. What it means is the configuration's business, as it is for the environment.
type given struct{ text, kind string }

func (g *given) String() string     { return g.text }
func (g *given) Set(s string) error { g.text = s; return nil }
func (g *given) Type() string       { return g.kind }

// load reads the configuration of a command: its flags, the environment, the file.
func load(cmd *cobra.Command) (app.Config, []app.Setting, error) {
	flags := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) { flags[f.Name] = f.Value.String() })
	return app.LoadConfig(app.Sources{File: flags["config"], Environ: os.Environ(), Flags: flags})
}

// loadQuietly reads the configuration of a command that ends, and gives its logger.
func loadQuietly(cmd *cobra.Command) (app.Config, *slog.Logger, error) {
	cfg, settings, err := load(cmd)
	if err != nil {
		return cfg, nil, err
	}
	log, err := quietLogger(cmd.ErrOrStderr(), cfg, settings)
	return cfg, log, err
}

// quietLogger is for commands that end: they tell what they come to themselves, and log what is wrong, unless another level is asked for.
func quietLogger(w io.Writer, cfg app.Config, settings []app.Setting) (*slog.Logger, error) {
	level := "warn"
	if slices.ContainsFunc(settings, func(s app.Setting) bool { return s.Name == "log-level" && s.From != "default" }) {
		level = cfg.LogLevel
	}
	return telemetry.NewLogger(w, level, cfg.LogFormat)
}

func configCommand() *cobra.Command {
	group := &cobra.Command{Use: "config", Short: "The configuration"}
	group.AddCommand(&cobra.Command{
		Use: "print", Short: "Every setting, its value, and where that came from", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, settings, err := load(cmd)
			for _, s := range settings {
				fmt.Fprintf(cmd.OutOrStdout(), "%-24s %-60s %s\n", s.Name, s.Value, s.From)
			}
			return err
		},
	})
	return group
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "The version of this program", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprint(cmd.OutOrStdout(), versionLine())
		},
	}
}

func versionLine() string {
	return fmt.Sprintf("daybook %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
