package app

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// What other machines reach is named, and warned of again and again.
func TestExposureIsWarnedOfAgain(t *testing.T) {
	cfg := DefaultConfig()
	if cfg.exposed() != nil {
		t.Errorf("by default %v are exposed", cfg.exposed())
	}
	cfg.Listen, cfg.AdminListen, cfg.SimulatorListen = "0.0.0.0:8080", ":8081", "127.0.0.1:1"
	if want := []string{"--listen 0.0.0.0:8080", "--admin-listen :8081"}; !slices.Equal(cfg.exposed(), want) {
		t.Errorf("%v, want %v", cfg.exposed(), want)
	}
	ctx, stop := context.WithCancel(t.Context())
	var out bytes.Buffer
	again, ended := make(chan time.Time), make(chan error)
	go func() { ended <- cfg.warnOfExposure(ctx, slog.New(slog.NewTextHandler(&out, nil)), again) }()
	again <- time.Now()
	again <- time.Now()
	stop()
	if err := <-ended; err != nil || strings.Count(out.String(), "--admin-listen :8081") < 2 {
		t.Errorf("%v %s", err, out.String())
	}
}
