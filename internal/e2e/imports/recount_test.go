package imports_test

import (
	"encoding/csv"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The recount: what the file comes to, straight from its lines. It shares no code with the importer.

// sums is what reports add up.
type sums struct{ Orders, Units, Goods, Shipping, Total, ReturnedUnits, Refunded int64 }

// sale is a line sold; credit, a line given back.
type sale struct {
	invoice, sku, customer, country string
	at                              time.Time
	units, price                    int64
	row, credited                   int64
}

type credit struct {
	of *sale
	at time.Time
	n  int64
}

type recount struct {
	sales    []*sale
	shipping map[string]int64
	credits  []credit
	zone     *time.Location
}

func count(t *testing.T, file string) *recount {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Skipf("SKIP import: the Online Retail sample is not here: %v", err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	r := &recount{shipping: map[string]int64{}, zone: zone}
	first := map[string]time.Time{}
	var back []*sale
	post := map[string]int64{}
	for i, f := range rows[1:] {
		invoice, isCredit := strings.CutPrefix(strings.TrimSpace(f[0]), "C")
		at, err := time.ParseInLocation("2006-01-02 15:04:05", f[4], zone)
		if err != nil || len(invoice) != 6 {
			continue
		}
		if was, ok := first[invoice]; !ok || at.Before(was) {
			first[invoice] = at
		}
		units, _ := strconv.ParseInt(f[3], 10, 64)
		pounds, pence, _ := strings.Cut(f[5], ".")
		price, err := strconv.ParseInt(pounds+(pence + "00")[:2], 10, 64)
		sku := strings.ToUpper(strings.TrimSpace(f[1]))
		if err != nil || price <= 0 || (units > 0) == isCredit || units == 0 {
			continue
		}
		s := &sale{invoice: invoice, sku: sku, customer: strings.TrimSuffix(f[6], ".0"), country: f[7], at: at, units: units, price: price, row: int64(i)}
		switch {
		case slices.Contains([]string{"POST", "DOT", "C2"}, sku):
			if !isCredit {
				post[invoice] += units * price
			}
		case slices.Contains([]string{"M", "D", "S", "B", "CRUK", "AMAZONFEE", "BANK CHARGES"}, sku) || strings.HasPrefix(sku, "GIFT_"):
		case isCredit && s.customer != "":
			back = append(back, s)
		case !isCredit:
			r.sales = append(r.sales, s)
		}
	}
	for _, s := range r.sales {
		s.at = first[s.invoice]
		r.shipping[s.invoice] = post[s.invoice]
	}
	slices.SortStableFunc(back, func(a, b *sale) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return strings.Compare(a.invoice, b.invoice)
	})
	for _, b := range back {
		var best *sale
		for _, s := range r.sales {
			fits := s.customer == b.customer && s.sku == b.sku && s.price == b.price && !s.at.After(b.at) && s.units-s.credited >= -b.units
			if fits && (best == nil || s.at.After(best.at) || s.at.Equal(best.at) && s.invoice > best.invoice) {
				best = s
			}
		}
		if best != nil {
			best.credited -= b.units
			r.credits = append(r.credits, credit{best, b.at, -b.units})
		}
	}
	return r
}

// by sums what had happened by a moment, in groups.
func (r *recount) by(group func(s *sale, at time.Time) string, until time.Time, shipping bool) map[string]sums {
	out := map[string]sums{}
	orders := map[[2]string]bool{}
	for _, s := range r.sales {
		if s.at.After(until) {
			continue
		}
		g := group(s, s.at)
		sum := out[g]
		sum.Units += s.units
		sum.Goods += s.units * s.price
		sum.Total += s.units * s.price
		if k := [2]string{g, s.invoice}; !orders[k] {
			orders[k] = true
			sum.Orders++
			if shipping {
				sum.Shipping += r.shipping[s.invoice]
				sum.Total += r.shipping[s.invoice]
			}
		}
		out[g] = sum
	}
	for _, c := range r.credits {
		if c.at.After(until) {
			continue
		}
		g := group(c.of, c.at)
		sum := out[g]
		sum.ReturnedUnits += c.n
		sum.Refunded += c.n * c.of.price
		out[g] = sum
	}
	return out
}

func (r *recount) month(_ *sale, at time.Time) string  { return at.In(r.zone).Format("2006-01") }
func (r *recount) product(s *sale, _ time.Time) string { return s.sku }
func (r *recount) country(s *sale, _ time.Time) string {
	iso := map[string]string{
		"United Kingdom": "GB", "Germany": "DE", "France": "FR", "EIRE": "IE", "Netherlands": "NL", "Spain": "ES", "Switzerland": "CH",
		"Belgium": "BE", "Portugal": "PT", "Norway": "NO", "Australia": "AU", "Italy": "IT", "Finland": "FI", "Channel Islands": "XC",
		"Denmark": "DK", "Cyprus": "CY", "Sweden": "SE", "Austria": "AT", "Israel": "IL", "Poland": "PL", "Unspecified": "ZZ", "Japan": "JP",
		"Iceland": "IS", "USA": "US", "Singapore": "SG", "Greece": "GR", "Canada": "CA", "Malta": "MT", "United Arab Emirates": "AE",
		"RSA": "ZA", "Hong Kong": "HK", "European Community": "EU", "Lebanon": "LB", "Lithuania": "LT", "Saudi Arabia": "SA", "Bahrain": "BH",
		"Brazil": "BR", "Czech Republic": "CZ",
	}
	return iso[s.country]
}
