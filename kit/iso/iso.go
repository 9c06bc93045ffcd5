// Package iso knows the codes of countries, their regions and currencies.
package iso

import (
	"slices"
	"strings"
)

// Country tells whether a code is an officially assigned one of ISO 3166-1 alpha-2.
func Country(code string) bool {
	_, ok := slices.BinarySearch(allCountries, code)
	return ok
}

// Countries lists the codes of all countries in order.
func Countries() []string { return slices.Clone(allCountries) }

// recordedOnly are codes beside ISO 3166-1 that another system's orders may have gone to: the European Union, the Channel
// Islands, and no country that is known. Nothing can be sent there.
var recordedOnly = []string{"EU", "XC", "ZZ"}

// RecordedCountry tells whether an order taken over from another system may have gone to a country.
func RecordedCountry(code string) bool { return Country(code) || slices.Contains(recordedOnly, code) }

// RecordedCountries lists the codes that RecordedCountry accepts.
func RecordedCountries() []string { return append(Countries(), recordedOnly...) }

// Region finds a subdivision of a country (ISO 3166-2), written with the country's code or without, in any case: "NY" is what
// "us-ny" and "NY" come to in US.
func Region(country, region string) (code string, ok bool) {
	code = strings.TrimPrefix(strings.ToUpper(region), country+"-")
	return code, slices.Contains(allRegions[country], code)
}

// Currency gives the decimals of a currency of ISO 4217. ok is false for what is none, or has no minor unit.
func Currency(code string) (decimals int, ok bool) {
	decimals, ok = allCurrencies[code]
	return decimals, ok
}

// Currencies lists the codes of all currencies in order.
func Currencies() []string {
	var codes []string
	for c := range strings.FieldsSeq(currencies) {
		codes = append(codes, c[:3])
	}
	return codes
}

var (
	allCountries  = strings.Fields(countries)
	allCurrencies = readCurrencies()
	allRegions    = readRegions()
)

func readCurrencies() map[string]int {
	decimals := map[string]int{}
	for c := range strings.FieldsSeq(currencies) {
		decimals[c[:3]] = int(c[3] - '0')
	}
	return decimals
}

func readRegions() map[string][]string {
	byCountry := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(regions)) {
		codes := strings.Fields(line)
		byCountry[codes[0]] = codes[1:]
	}
	return byCountry
}
