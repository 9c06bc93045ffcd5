package runtime

import (
	"slices"
	"testing"

	"github.com/daybook-dev/daybook/internal/embedded/pgserver"
	"github.com/daybook-dev/daybook/internal/worker"
)

// Two processes of every role, each by itself, or two of all roles, fit into the connections that the embedded Postgres takes, with
// some left for commands.
func TestTwoOfEveryRoleFitIntoPostgres(t *testing.T) {
	d := Domain{APIs: []API{{Role: "command-api", Decides: true}, {Role: "query-api", Reads: true}, {Role: "gateway", Address: addressAPI}}}
	const usual = pgserver.MaxConnections - pgserver.ForSuperusers
	most := func(roles ...string) (n int) {
		for _, p := range d.poolsOf(roles) {
			n += int(p.most)
			if p.lock == 0 || p.statement <= p.lock {
				t.Errorf("the pool %s of %v waits for a lock for %s, for a statement %s", p.name, roles, p.lock, p.statement)
			}
		}
		if slices.Contains(roles, RoleRelay) {
			n++
		}
		if slices.Contains(roles, RoleProjections) {
			n += worker.Connections
		}
		return n + 1 // on which it listens
	}
	var each int
	for _, role := range []string{RoleRelay, RoleProjections, RoleSagas, RoleReactors, "command-api", "query-api", "gateway"} {
		each += most(role)
	}
	for what, n := range map[string]int{"every role": each, "all roles": most(d.Roles()...)} {
		t.Logf("a process of %s: %d connections", what, n)
		if 2*n+commandMost > usual {
			t.Errorf("two of %s and a command may open %d connections, and Postgres takes %d", what, 2*n+commandMost, usual)
		}
	}
}
