package runtime

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/internal/webguard"
)

// guard lets in requests that call this process by one of its names, and none of another site's pages.
func (n *Node) guard() webguard.Guard {
	return webguard.Guard{Names: n.domain.hostNames(n.cfg), Refuse: n.domain.refuse}
}

// publicGuard lets in pages at the API's public address as well. They are of no concern to the other listeners.
func (n *Node) publicGuard() webguard.Guard {
	g := n.guard()
	if n.cfg.PublicURL != "" {
		g.Origins = []string{n.cfg.PublicURL}
	}
	return g
}

// hostNames are the configured ones, the public one, and those in the addresses that this process listens on.
func (d Domain) hostNames(c Config) []string {
	names := slices.Clone(c.HostNames)
	if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
		names = append(names, u.Hostname())
	}
	listens := []string{c.Listen, c.AdminListen}
	for _, s := range d.Servers {
		listens = append(listens, s.Listen)
	}
	for _, listen := range listens {
		if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
			names = append(names, host)
		}
	}
	return names
}

// exposed are the settings by which this process can be reached from other machines.
func (d Domain) exposed(c Config) []string {
	var out []string
	look := func(setting, address string) {
		if host, _, err := net.SplitHostPort(address); err == nil && !loopback(host) {
			out = append(out, "--"+setting+" "+address)
		}
	}
	for _, s := range c.Settings() {
		if address, ok := s.Field.(*string); ok && strings.HasSuffix(s.Name, "listen") {
			look(s.Name, *address)
		}
	}
	for _, s := range d.Servers {
		look(s.Role+"-listen", s.Listen)
	}
	return out
}

const exposureEvery = time.Hour

// warnOfExposure says again and again that other machines reach what asks for no credentials.
func (n *Node) warnOfExposure(ctx context.Context, again <-chan time.Time) error {
	for {
		n.log.Warn("other machines reach this process, and callers give no credentials", "addresses", n.domain.exposed(n.cfg), "setting", "--allow-anonymous")
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		}
	}
}
