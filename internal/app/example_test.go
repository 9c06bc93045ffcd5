package app

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The example that users copy is read as it says.
func TestExampleConfiguration(t *testing.T) {
	cfg, _, err := LoadConfig(Sources{File: "../../docs/daybook.example.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.AuthoriseWithin != time.Minute || !slices.Equal(cfg.Shop.Currencies, []string{"EUR", "GBP"}) || cfg.Shop.Tax["US-NY"]["standard"] != 400 ||
		len(cfg.Shop.Shipping) != 2 || cfg.Shop.Shipping[0].Prices["*"]["EUR"] != 1490 {
		t.Errorf("read as %+v", cfg.Shop)
	}
}

// Every setting is shown as a value that can be given back, or as what its absence stands for.
func TestDefaultsAreShownAsUsersWriteThem(t *testing.T) {
	_, shown, err := LoadConfig(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]string{}
	for _, s := range shown {
		if s.Value == "0s" {
			t.Errorf("%s is shown as %q", s.Name, s.Value)
		}
		if s.Value != "" && s.Value[0] != '(' && !strings.HasPrefix(s.Name, "shop.") {
			flags[s.Name] = s.Value
		}
	}
	again, _, err := LoadConfig(Sources{Flags: flags})
	if err != nil {
		t.Fatalf("what is shown cannot be given back: %v", err)
	}
	if before := DefaultConfig(); again.AuthoriseWithin != before.AuthoriseWithin || !slices.Equal(again.Roles, before.Roles) || again.Listen != before.Listen {
		t.Errorf("given back, the configuration is %+v", again)
	}
}
