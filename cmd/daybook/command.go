package main

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/daybook-dev/daybook/internal/app"
)

// command is the whole command line.
func command(out, errs io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use: "daybook", Short: "A headless order backend that forgets nothing.",
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetOut(out)
	root.SetErr(errs)
	flags := root.PersistentFlags()
	flags.String("config", "", "YAML file of settings (DAYBOOK_CONFIG)")
	for _, f := range app.Flags() {
		if f.Name == "allow-anonymous" {
			flags.Bool(f.Name, false, f.Value)
			continue
		}
		flags.String(f.Name, "", f.Value)
	}
	root.AddCommand(serveCommand(), importCommand(), demoCommand(), benchCommand(), relayCommand(), projectionsCommand(), configCommand(), healthCommand(), doctorCommand(), eventstoreCommand(), versionCommand())
	return root
}

// load reads the configuration of a command: its flags, the environment, the file.
func load(cmd *cobra.Command) (app.Config, []app.Setting, error) {
	given := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) { given[f.Name] = f.Value.String() })
	return app.LoadConfig(app.Sources{File: given["config"], Environ: os.Environ(), Flags: given})
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
			fmt.Fprintf(cmd.OutOrStdout(), "daybook %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
