package runtime

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// Banner says what runs here, where, and what to do next.
func (n *Node) Banner(ctx context.Context, w io.Writer, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s   data %s\n", title(n.cfg.name()), n.cfg.Version, short(n.cfg.DataDir))
	rows := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	here := map[string]*running{}
	for _, s := range n.servers {
		here[s.role] = s
	}
	at := n.addresses
	if n.system != nil {
		at = n.system.Addresses
	}
	for _, s := range embeddedServers(n.domain, n.cfg, secrets.Secrets{}, n.log, nil) {
		address := at.Get(s.into)
		switch r := here[s.role]; {
		case r != nil:
			state := fmt.Sprintf("ready   %.1f s", r.took.Seconds())
			if r.moved {
				state += fmt.Sprintf("   port %s is taken by another program", r.port)
			}
			line(rows, s.label, withoutPassword(address), r.kind(r.server), state)
		case address != "":
			line(rows, s.label, withoutPassword(address), "elsewhere", "")
		}
	}
	if n.addresses.API != "" {
		line(rows, "API", n.addresses.API, n.domain.Document, "")
	}
	if n.addresses.Admin != "" {
		line(rows, "admin", n.addresses.Admin, "/metrics", "")
	}
	_ = rows.Flush() // a Builder takes everything
	if here[RolePostgres] != nil || here[RoleEventStore] != nil {
		fmt.Fprintf(&b, "  The passwords of the embedded servers are in %s.\n", short(n.cfg.SecretsDir()))
	}
	fmt.Fprintf(&b, "  %s\n", n.openness())
	fmt.Fprintf(&b, "Ready%s after %.1f s.\n", n.yet(ctx), took.Seconds())
	if n.addresses.API != "" && n.cfg.Next != "" {
		fmt.Fprintf(&b, "Next: %s\n", n.cfg.Next)
	}
	_, _ = io.WriteString(w, b.String())
}

func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// yet says which part of a system that is ready is still under way.
func (n *Node) yet(ctx context.Context) string {
	if n.system == nil {
		return ""
	}
	switch models, err := n.system.rebuilding(ctx); {
	case err != nil || models == 0: // what cannot be asked now is no part of being ready
		return ""
	case models == 1:
		return ", 1 read model rebuilding,"
	default:
		return fmt.Sprintf(", %d read models rebuilding,", models)
	}
}

func line(w io.Writer, label, address, kind, state string) {
	fmt.Fprintln(w, strings.TrimRight("  "+strings.Join([]string{label, address, kind, state}, "\t"), "\t"))
}

func (n *Node) openness() string {
	if n.cfg.AllowAnonymous {
		return "No tokens needed: --allow-anonymous. Every caller may do everything."
	}
	return "No tokens needed: bound to loopback only."
}

// withoutPassword is a connection string that clients take, but for the password.
func withoutPassword(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	if login, host, ok := strings.Cut(rest, "@"); ok {
		user, _, _ := strings.Cut(login, ":")
		rest = user + "@" + host
	}
	return scheme + "://" + rest
}

func short(dir string) string {
	if home, err := os.UserHomeDir(); err == nil && home != "/" && strings.HasPrefix(dir, home+"/") {
		return "~" + strings.TrimPrefix(dir, home)
	}
	return dir
}
