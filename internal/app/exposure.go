package app

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/internal/webguard"
)

// guard lets in requests that call this process by one of its names, and none of another site's pages.
func (c Config) guard() webguard.Guard {
	return webguard.Guard{Names: c.hostNames(), Refuse: api.Refuse}
}

// publicGuard lets in pages at the API's public address as well. They are of no concern to the other listeners.
func (c Config) publicGuard() webguard.Guard {
	g := c.guard()
	if c.PublicURL != "" {
		g.Origins = []string{c.PublicURL}
	}
	return g
}

// hostNames are the configured ones, the public one, and those in the addresses that this process listens on.
func (c Config) hostNames() []string {
	names := slices.Clone(c.HostNames)
	if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
		names = append(names, u.Hostname())
	}
	for _, listen := range []string{c.Listen, c.AdminListen, c.SimulatorListen} {
		if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
			names = append(names, host)
		}
	}
	return names
}

// exposed are the settings by which this process can be reached from other machines.
func (c Config) exposed() []string {
	var out []string
	for _, s := range settings() {
		address, ok := s.field(&c).(*string)
		if !ok || len(s.Name) < len("listen") || s.Name[len(s.Name)-len("listen"):] != "listen" {
			continue
		}
		if host, _, err := net.SplitHostPort(*address); err == nil && !loopback(host) {
			out = append(out, "--"+s.Name+" "+*address)
		}
	}
	return out
}

const exposureEvery = time.Hour

// warnOfExposure says again and again that other machines reach what asks nobody who they are.
func (c Config) warnOfExposure(ctx context.Context, log *slog.Logger, again <-chan time.Time) error {
	for {
		log.Warn("other machines reach this process, and nobody has to prove who they are", "addresses", c.exposed(), "setting", "--allow-anonymous")
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		}
	}
}
