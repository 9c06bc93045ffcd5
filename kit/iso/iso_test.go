package iso_test

import (
	"slices"
	"testing"

	"github.com/daybook-dev/daybook/kit/iso"
)

func TestCountries(t *testing.T) {
	for code, want := range map[string]bool{
		"GB": true, "DE": true, "TW": true, "SS": true, "UK": false, "XX": false, "EU": false, "XC": false, "ZZ": false, "SU": false, "gb": false, "": false, "GBR": false, "AN": false,
	} {
		if iso.Country(code) != want {
			t.Errorf("%q: %v", code, !want)
		}
	}
	if n := len(iso.Countries()); n != 249 || !slices.IsSorted(iso.Countries()) {
		t.Errorf("%d countries", n)
	}
	for code, want := range map[string]bool{"GB": true, "EU": true, "XC": true, "ZZ": true, "UK": false, "XX": false} {
		if iso.RecordedCountry(code) != want || slices.Contains(iso.RecordedCountries(), code) != want {
			t.Errorf("recorded %q: %v", code, !want)
		}
	}
}

func TestRegions(t *testing.T) {
	for _, c := range []struct {
		country, region, code string
		ok                    bool
	}{
		{"US", "NY", "NY", true}, {"US", "US-NY", "NY", true}, {"US", "us-ny", "NY", true}, {"CA", "QC", "QC", true}, {"GB", "ENG", "ENG", true},
		{"US", "QC", "QC", false}, {"US", "New York", "NEW YORK", false}, {"US", "", "", false}, {"US", "CA-QC", "CA-QC", false}, {"XX", "NY", "NY", false}, {"ES", "CN", "CN", true},
	} {
		if code, ok := iso.Region(c.country, c.region); code != c.code || ok != c.ok {
			t.Errorf("%s %q: %q %v", c.country, c.region, code, ok)
		}
	}
}

func TestCurrencies(t *testing.T) {
	for code, want := range map[string]int{"GBP": 2, "EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "CLF": 4, "ISK": 0, "SLE": 2, "XCG": 2, "ZWG": 2} {
		if got, ok := iso.Currency(code); !ok || got != want {
			t.Errorf("%s: %d %v", code, got, ok)
		}
	}
	for _, code := range []string{"XXX", "XTS", "XAU", "XDR", "UKP", "gbp", "DEM", "ANG", "", "GB"} {
		if _, ok := iso.Currency(code); ok {
			t.Errorf("%q is a currency", code)
		}
	}
	if n := len(iso.Currencies()); n != 165 || !slices.IsSorted(iso.Currencies()) {
		t.Errorf("%d currencies", n)
	}
}
