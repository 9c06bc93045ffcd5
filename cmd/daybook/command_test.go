package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/app"
)

// A command that ends logs from "warn" on, and at the configured level, wherever that was given.
func TestCommandsLogAtTheConfiguredLevel(t *testing.T) {
	for _, x := range []struct {
		src  app.Sources
		want []string
	}{
		{app.Sources{}, []string{"w", "e"}},
		{app.Sources{Flags: map[string]string{"log-level": "debug"}}, []string{"d", "i", "w", "e"}},
		{app.Sources{Flags: map[string]string{"log-level": "info"}}, []string{"i", "w", "e"}}, // which is serve's default
		{app.Sources{Environ: []string{"DAYBOOK_LOG_LEVEL=error"}}, []string{"e"}},
	} {
		x.src.Environ = append(x.src.Environ, "DAYBOOK_LOG_FORMAT=json")
		cfg, settings, err := app.LoadConfig(x.src)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		log, err := quietLogger(&out, cfg, settings)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("d")
		log.Info("i")
		log.Warn("w")
		log.Error("e")
		if n := strings.Count(out.String(), "\n"); n != len(x.want) {
			t.Errorf("%+v: logs %d lines, want %v:\n%s", x.src, n, x.want, out.String())
		}
		for _, m := range x.want {
			if !strings.Contains(out.String(), `"msg":"`+m+`"`) {
				t.Errorf("%+v: does not log %q:\n%s", x.src, m, out.String())
			}
		}
	}
}
