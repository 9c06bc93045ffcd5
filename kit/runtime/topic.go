package runtime

import (
	"cmp"
	"context"
	"log/slog"
	"strings"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/topic"
)

// onTopic tells whether a process with the configured roles writes or reads the topic.
func (c Config) onTopic() bool {
	return c.Has(RoleRelay) || c.Has(RoleProjections) || c.Has(RoleSagas) || c.Has(RoleReactors)
}

// topic is what relay and engines of a process share: the log with its known end.
func (n *Node) topic() *checkpoint.Horizon {
	log := checkpoint.NewHorizon(n.system.Store)
	if !n.cfg.onTopic() {
		return log
	}
	n.health.Reporter("checkpoints").Probe("ahead", func(ctx context.Context) error {
		ahead, err := checkpoint.FindAhead(ctx, n.system.Pool, 0, log.End)
		if err != nil {
			return err
		}
		return checkpoint.Error(ahead)
	})
	return log
}

// topicKeys are the keys of the topic's messages, those that Postgres knows; nil if no role here needs them.
func (n *Node) topicKeys() (*topic.Keys, error) {
	if !n.cfg.onTopic() {
		return nil, nil //nolint:nilnil // see above
	}
	read, err := secrets.RelayKeys(n.cfg.SecretsDir())
	if err != nil {
		return nil, err
	}
	return topic.NewKeys(secrets.KnownRelayKeys(n.system.Pool, read, n.cfg.Has(RoleRelay)), n.log)
}

// topicKeys are the keys of the topic's messages, made if there are none.
func topicKeys(cfg Config, log *slog.Logger) (*topic.Keys, error) {
	read, err := secrets.RelayKeys(cfg.SecretsDir())
	if err != nil {
		return nil, err
	}
	return topic.NewKeys(read, log)
}

// publicURL is where clients reach the API: as configured, or here, or in another process on the data directory.
func (n *Node) publicURL() string {
	at := cmp.Or(n.cfg.PublicURL, n.addresses.API, n.ownAPI(), n.system.Addresses.API, "http://"+n.cfg.Listen)
	return strings.TrimRight(at, "/")
}

// ownAPI is where this process serves an API that reads.
func (n *Node) ownAPI() string {
	for _, a := range n.domain.apis() {
		if a.Reads && n.cfg.Has(a.Role) {
			return n.addresses.Get(a.Address)
		}
	}
	return ""
}

// schemas gives the addresses at which the API serves the schemas of events.
func (n *Node) schemas() func(eventType string, version int) string {
	base, catalog := n.publicURL(), n.system.Catalog
	return func(eventType string, version int) string {
		if current := catalog.Version(eventType); version < 1 || version > current || n.domain.SchemaPath == nil {
			return "" // an event of another application, or of a newer program
		}
		return base + n.domain.SchemaPath(eventType, version)
	}
}
