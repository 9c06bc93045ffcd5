package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/embedded/pgserver"
	"github.com/daybook-dev/daybook/internal/worker"
)

func written(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "daybook.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Flag over environment over file over default, setting by setting, each with its source.
func TestSourcesHaveAnOrder(t *testing.T) {
	path := written(t, "listen: 127.0.0.1:1\nadmin-listen: 127.0.0.1:1\nkafka: 127.0.0.1:1\nroles: [relay, sagas]\nreserve-within: 5s\n")
	cfg, settings, err := LoadConfig(Sources{
		File: path, Environ: []string{"DAYBOOK_ADMIN_LISTEN=127.0.0.1:2", "DAYBOOK_KAFKA=127.0.0.1:2", "OTHER=x"},
		Flags: map[string]string{"kafka": "127.0.0.1:3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Listen != "127.0.0.1:1" || cfg.AdminListen != "127.0.0.1:2" || cfg.Kafka != "127.0.0.1:3" || cfg.LogLevel != "info" {
		t.Errorf("%+v", cfg)
	}
	if !slices.Equal(cfg.Roles, []string{"relay", "sagas"}) || cfg.ReserveWithin != 5*time.Second {
		t.Errorf("roles %v, reserve within %s", cfg.Roles, cfg.ReserveWithin)
	}
	from := map[string]string{}
	for _, s := range settings {
		from[s.Name] = s.From
	}
	for name, want := range map[string]string{
		"listen": "file " + path, "admin-listen": "environment DAYBOOK_ADMIN_LISTEN", "kafka": "flag --kafka", "log-level": "default", "shop.tax": "default",
	} {
		if from[name] != want {
			t.Errorf("%s is from %q, want %q", name, from[name], want)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, tt := range []struct {
		yaml  string
		flags map[string]string
		want  string
	}{
		{"listen: [", nil, "read"},
		{"colour: red\n", nil, "colour"},
		{"allow-anonymous: perhaps\n", nil, "allow-anonymous"},
		{"", map[string]string{"roles": "relay,cook"}, `roles: "cook"`},
		{"", map[string]string{"roles": ""}, "roles: at least one"},
		{"", map[string]string{"eventstore": "http://x"}, "eventstore: does not begin with"},
		{"", map[string]string{"postgres": "x"}, "postgres: does not begin with"},
		{"", map[string]string{"kafka": "x"}, "kafka:"},
		{"", map[string]string{"listen": "0.0.0.0:8080"}, "--allow-anonymous"},
		{"", map[string]string{"admin-listen": "0.0.0.0:8081"}, "--allow-anonymous"},
		{"", map[string]string{"admin-listen": ":8081"}, "--allow-anonymous"},
		{"", map[string]string{"listen": "here"}, "listen:"},
		{"", map[string]string{"log-level": "loud"}, "log-level"},
		{"", map[string]string{"data-dir": "relative"}, "data-dir"},
		{"", map[string]string{"reserve-within": "soon"}, "reserve-within"},
		{"shop: {currencies: [pounds]}\n", nil, "currencies"},
		{"shop: {colour: red}\n", nil, "colour"},
		{"shop: {time_zone: Mars}\n", nil, "time_zone"},
	} {
		if _, _, err := LoadConfig(Sources{File: written(t, tt.yaml), Flags: tt.flags}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %v: %v, want %q", tt.yaml, tt.flags, err, tt.want)
		}
	}
	if _, _, err := LoadConfig(Sources{File: "/no/such/file.yaml"}); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Error(err)
	}
}

func TestShopReplacesTheDefaultsWhole(t *testing.T) {
	cfg, _, err := LoadConfig(Sources{File: written(t, `
shop:
  currencies: [EUR]
  tax: {DE: {standard: 1900}}
  shipping: [{code: dhl, prices: {DE: {EUR: 490}}}]
`)})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Shop.Tax) != 1 || cfg.Shop.Tax["DE"]["standard"] != 1900 || len(cfg.Shop.Shipping) != 1 || cfg.Shop.TimeZone != "Europe/London" {
		t.Errorf("%+v", cfg.Shop)
	}
}

func TestPasswordsAreNotPrinted(t *testing.T) {
	_, settings, err := LoadConfig(Sources{Flags: map[string]string{"postgres": "postgres://daybook:secret@db/x", "eventstore": "esdb://admin:secret@es:2113"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if s.Name != "secrets" && strings.Contains(s.Value, "secret") {
			t.Errorf("%s shows %s", s.Name, s.Value)
		}
	}
}

func TestAddressesOfAGoneProcessAreNotBelieved(t *testing.T) {
	dir := t.TempDir()
	withdraw, err := publish(dir, Addresses{API: "http://a", EventStore: "esdb://a", PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	other, err := publish(dir, Addresses{QueryAPI: "http://q", PID: os.Getpid() + 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadAddresses(dir)
	if err != nil || got.API != "http://a" || got.QueryAPI != "http://q" || got.PID != os.Getpid() {
		t.Errorf("%+v %v", got, err)
	}
	other()
	if got, err := ReadAddresses(dir); err != nil || got.QueryAPI != "" || got.API != "http://a" {
		t.Errorf("after one of two has left: %+v %v", got, err)
	}
	withdraw()
	if _, err := ReadAddresses(dir); err == nil {
		t.Error("withdrawn, and still there")
	}
	if err := writeAddresses(dir, Addresses{API: "http://old", PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadAddresses(dir); err == nil {
		t.Errorf("a process that is gone is believed: %+v", got)
	}
}

func TestOneServerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	l, err := lockServer(dir, RoleKafka)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockServer(dir, RoleKafka); err == nil || !strings.Contains(err.Error(), "other roles") {
		t.Error(err)
	}
	if other, err := lockServer(dir, RoleEventStore); err != nil {
		t.Error(err)
	} else {
		other.Release()
	}
	l.Release()
	again, err := lockServer(dir, RoleKafka)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}

// Two processes of every role, each by itself, or two of all roles, fit into the connections that the embedded Postgres takes, with
// some left for commands.
func TestTwoOfEveryRoleFitIntoPostgres(t *testing.T) {
	const usual = pgserver.MaxConnections - pgserver.ForSuperusers
	most := func(roles ...string) (n int) {
		for _, p := range poolsOf(roles) {
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
	for _, role := range []string{RoleRelay, RoleProjections, RoleSagas, RoleReactors, RoleCommandAPI, RoleQueryAPI, RoleGateway} {
		each += most(role)
	}
	for what, n := range map[string]int{"every role": each, "all roles": most(AllRoles()...)} {
		t.Logf("a process of %s: %d connections", what, n)
		if 2*n+commandMost > usual {
			t.Errorf("two of %s and a command may open %d connections, and Postgres takes %d", what, 2*n+commandMost, usual)
		}
	}
}
