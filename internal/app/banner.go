package app

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Banner says what runs here, where, and what to do next.
func (n *Node) Banner(w io.Writer, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "Daybook %s   data %s\n", n.version, short(n.cfg.DataDir))
	here := map[string]*running{}
	for _, s := range n.servers {
		here[s.role] = s
	}
	at := n.addresses
	if n.system != nil {
		at = n.system.Addresses
	}
	for _, s := range []struct{ role, label, address string }{
		{RoleEventStore, "event store", at.EventStore}, {RoleKafka, "kafka", at.Kafka},
		{RolePostgres, "postgres", at.Postgres}, {RoleSimulator, "payments", at.PaymentProvider},
	} {
		switch r := here[s.role]; {
		case r != nil:
			line(&b, s.label, plainAddress(s.address), r.kind(r.server), fmt.Sprintf("ready   %.1f s", r.took.Seconds()))
		case s.address != "":
			line(&b, s.label, plainAddress(s.address), "elsewhere", "")
		}
	}
	if n.addresses.API != "" {
		line(&b, "API", n.addresses.API, "/openapi.yaml", "")
	}
	if n.addresses.Admin != "" {
		line(&b, "admin", n.addresses.Admin, "/metrics", "")
	}
	fmt.Fprintf(&b, "  %s\n", n.openness())
	fmt.Fprintf(&b, "Ready after %.1f s.\n", took.Seconds())
	if n.cfg.Has(RoleGateway) {
		fmt.Fprintf(&b, "Next: the tour in README.md, or  daybook import online-retail FILE\n")
	}
	_, _ = io.WriteString(w, b.String())
}

func line(b *strings.Builder, label, address, kind, state string) {
	fmt.Fprintln(b, strings.TrimRight(fmt.Sprintf("  %-12s %-32s %-15s %s", label, address, kind, state), " "))
}

func (n *Node) openness() string {
	if n.cfg.AllowAnonymous {
		return "No tokens needed: --allow-anonymous. Whoever reaches the API may do everything."
	}
	return "No tokens needed: bound to loopback only."
}

// plainAddress leaves out what people need not read: user, password, parameters.
func plainAddress(s string) string {
	s, _, _ = strings.Cut(s, "?")
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	if _, host, ok := strings.Cut(rest, "@"); ok {
		rest = host
	}
	if strings.HasPrefix(scheme, "postgres") {
		return rest
	}
	return scheme + "://" + rest
}

func short(dir string) string {
	if home, err := os.UserHomeDir(); err == nil && home != "/" && strings.HasPrefix(dir, home+"/") {
		return "~" + strings.TrimPrefix(dir, home)
	}
	return dir
}
