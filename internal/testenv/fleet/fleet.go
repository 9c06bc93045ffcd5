// Package fleet runs a system of which every role is a process of its own.
package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// TakeoverWithin bounds the time in which the work of a killed process is taken over. Six seconds of it are its Kafka session's, two
// or three more are usual on two busy cores; a session of Kafka's usual length would take 45.
const TakeoverWithin = 30 * time.Second

// Fleet is a system of which every role is a process of its own: the servers once, each other role once or more.
type Fleet struct {
	t       testing.TB
	Dir     string
	Servers map[string]*testenv.Process
	Members map[string][]*Member // by role
	API     string               // base URL, in front of the gateways
}

// Member is a process with one role that can be killed and started again.
type Member struct {
	fleet   *Fleet
	Role    string
	N       int // from 1
	Listen  string
	Args    []string
	Env     []string // further environment
	Process *testenv.Process
}

func (m *Member) String() string { return fmt.Sprintf("%s %d", m.Role, m.N) }

// Begin starts the process without waiting for it.
func (m *Member) Begin() {
	m.fleet.t.Helper()
	args := append([]string{"--not-found-after", "1s", "--provider-timeout", "2s"}, m.Args...)
	if m.Listen != "" {
		args = append(args, "--listen", m.Listen)
	}
	m.Process = testenv.Start(m.fleet.t, testenv.Options{DataDir: m.fleet.Dir, Roles: m.Role, Args: args, Env: m.Env, NotReady: true})
}

// Engines are the roles that carry events on.
func Engines() []string {
	return []string{app.RoleRelay, app.RoleProjections, app.RoleSagas, app.RoleReactors}
}

// APIs are the roles that answer.
func APIs() []string { return []string{app.RoleCommandAPI, app.RoleQueryAPI, app.RoleGateway} }

// StartServers starts servers, all four if none is named, each as a process of its own, with further flags by role.
func StartServers(t testing.TB, args map[string][]string, roles ...string) *Fleet {
	t.Helper()
	f := &Fleet{t: t, Dir: testenv.DataDir(t), Servers: map[string]*testenv.Process{}, Members: map[string][]*Member{}}
	if len(roles) == 0 {
		roles = []string{app.RoleEventStore, app.RoleKafka, app.RolePostgres, app.RoleSimulator}
	}
	for _, role := range roles {
		own := args[role]
		if own == nil {
			own = []string{"--" + role + "-listen", "127.0.0.1:0"}
		}
		f.Servers[role] = testenv.Start(t, testenv.Options{DataDir: f.Dir, Roles: role, Args: own, NotReady: true})
	}
	for _, p := range f.Servers {
		p.Ready()
	}
	return f
}

// Start starts the servers and n processes of every other role, with a balancer before those that listen.
func Start(t testing.TB, n int) *Fleet {
	t.Helper()
	f := StartServers(t, nil)
	at := map[string][]string{}
	front := map[string]string{}
	for _, role := range APIs() {
		for range n {
			at[role] = append(at[role], testenv.Address(t))
		}
		front[role] = Balance(t, at[role]...)
	}
	f.API = front[app.RoleGateway]
	for i := range n {
		for _, role := range Engines() {
			f.Add(role, "")
		}
		for _, role := range APIs() {
			f.Add(role, at[role][i], "--command-api", front[app.RoleCommandAPI], "--query-api", front[app.RoleQueryAPI])
		}
	}
	f.Ready()
	return f
}

// Add starts a process of a role.
func (f *Fleet) Add(role, listen string, args ...string) *Member {
	f.t.Helper()
	return f.AddWith(nil, role, listen, args...)
}

// AddWith is Add with further environment.
func (f *Fleet) AddWith(env []string, role, listen string, args ...string) *Member {
	f.t.Helper()
	m := &Member{fleet: f, Role: role, N: len(f.Members[role]) + 1, Listen: listen, Args: args, Env: env}
	f.Members[role] = append(f.Members[role], m)
	m.Begin()
	return m
}

// Ready waits until every process is ready.
func (f *Fleet) Ready() {
	f.t.Helper()
	for _, all := range f.Members {
		for _, m := range all {
			m.Process.Ready()
		}
	}
}

// Addresses is where the servers are.
func (f *Fleet) Addresses() app.Addresses {
	f.t.Helper()
	at, err := app.ReadAddresses(f.Dir)
	if err != nil {
		f.t.Fatal(err)
	}
	return at
}

// Pair gives the two processes of a role, the relay that is active first.
func (f *Fleet) Pair(role string) (victim, heir *Member) {
	victim, heir = f.Members[role][0], f.Members[role][1]
	if role == app.RoleRelay && ActiveSince(heir) > ActiveSince(victim) {
		victim, heir = heir, victim
	}
	return victim, heir
}

// Active is what a relay logs when it becomes the active one.
const Active = "relay is the active one"

// ActiveSince is the time, as logged, at which a relay last became the active one; "" if it never did.
func ActiveSince(m *Member) string {
	out := m.Process.Output()
	at := strings.LastIndex(out, Active)
	if at < 0 {
		return ""
	}
	line := out[strings.LastIndex(out[:at], "\n")+1 : at]
	_, stamp, _ := strings.Cut(line, `"time":"`)
	stamp, _, _ = strings.Cut(stamp, `"`)
	return stamp
}
