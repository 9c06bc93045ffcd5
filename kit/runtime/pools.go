package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/postgres"
)

// poolOf are connections of one part of a process: what that part waits for takes none from another.
type poolOf struct {
	name            string
	most            int32
	lock, statement time.Duration // how long a statement waits for a lock, and takes at all
	roles           []string      // whose processes have it; nil: each process
}

// pools are all that a process opens. Connections are opened when they are needed. Each costs Postgres 2.5 MiB, and a burst opens all of its
// pool: so there are few. They are busy for a millisecond or two at a time.
//
// Beside them a process listens on one connection. A relay writes its checkpoint on one of its own. Projections write rows on
// worker.Connections of their own, with limits for each transaction. Migrations have one without limits.
//
// A command beside the roles, such as doctor, has the common pool alone, without limits: it reads whole tables.
var pools = []poolOf{
	// The relay's row, checkpoints ahead of the log, uptime, progress at start, new builds, a probe: about one look of each at a time.
	{common, 4, 2 * time.Second, 10 * time.Second, nil},
	// Savings are grouped per partition; those of held rows are written apart, three at a time.
	{"sagas", 6, time.Second, 9 * time.Second, []string{RoleSagas}},
	// Intents are settled in groups; one call to a provider keeps no connection.
	{"reactors", 4, time.Second, 9 * time.Second, []string{RoleReactors}},
	// Keys of personal data are cached, and made in groups.
	{"keys", 3, time.Second, 9 * time.Second, []string{RoleReactors, deciding, reading}},
	// A query answers within 10 s or not at all. Of these no read model takes more than half.
	{"queries", 8, time.Second, 9 * time.Second, []string{reading}},
}

const (
	common      = "common"
	commandMost = 16 // of a command

	deciding, reading = "<decides>", "<reads>" // roles of the domain's own
)

// poolsOf are those of a process of some roles, or of a command.
func (d Domain) poolsOf(roles []string) (out []poolOf) {
	if len(roles) == 0 {
		return []poolOf{{name: common, most: commandMost}}
	}
	for _, p := range pools {
		if p.roles == nil || slices.ContainsFunc(p.roles, func(r string) bool {
			return slices.Contains(roles, r) || r == deciding && d.serves(roles, decides) || r == reading && d.serves(roles, reads)
		}) {
			out = append(out, p)
		}
	}
	return out
}

func (s *System) openPools(ctx context.Context, roles []string, reg prometheus.Registerer) error {
	s.pools = map[string]*pgxpool.Pool{}
	for _, p := range s.domain.poolsOf(roles) {
		pool, err := postgres.Open(ctx, s.Addresses.Postgres, postgres.Options{
			Name: nameAt(roles), Label: p.name, MaxConns: p.most, Lock: p.lock, Statement: p.statement, Registerer: reg,
		})
		if err != nil {
			return fmt.Errorf("open the pool %s: %w", p.name, err)
		}
		s.pools[p.name] = pool
	}
	s.Pool = s.pools[common]
	return nil
}

// pool gives the connections of a part. A command has the common ones only.
func (s *System) pool(name string) *pgxpool.Pool {
	if p := s.pools[name]; p != nil {
		return p
	}
	return s.Pool
}
