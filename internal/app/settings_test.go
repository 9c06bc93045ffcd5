package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
