package imports_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// synthetic writes a file of the public data set's shape, and counts by itself what an import of it comes to.
type synthetic struct {
	file strings.Builder
	odds *rand.Rand

	lines, orderLines, shipping, returned int
	orders, guests, units, back           int
	goods, postage, refunded              int64
	rejects                               map[string]int
	skus, customers, countries            map[string]bool
	invoice                               int
	at                                    time.Time
}

// shape is how large a file is. The public one has 541,909 lines, 4,070 SKUs, 4,372 customers and an invoice of 1,114 lines.
type shape struct {
	invoices, skus, customers int
	large                     []int // lines of some invoices
}

var lands = []string{
	"United Kingdom", "Germany", "France", "EIRE", "Netherlands", "Spain", "Switzerland", "Belgium", "Portugal", "Norway", "Australia", "Italy", "Finland",
	"Channel Islands", "Denmark", "Cyprus", "Sweden", "Austria", "Israel", "Poland", "Unspecified", "Japan", "Iceland", "USA", "Singapore", "Greece", "Canada",
	"Malta", "United Arab Emirates", "RSA", "Hong Kong", "European Community", "Lebanon", "Lithuania", "Saudi Arabia", "Bahrain", "Brazil", "Czech Republic",
}

func synthesise(s shape) *synthetic {
	f := &synthetic{
		odds: rand.New(rand.NewPCG(541909, 1)), rejects: map[string]int{}, skus: map[string]bool{}, customers: map[string]bool{}, countries: map[string]bool{}, //nolint:gosec // a test
		invoice: 536365, at: time.Date(2010, 12, 1, 8, 0, 0, 0, time.UTC),
	}
	f.file.WriteString("\ufeffInvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\r\n")
	for i := range s.invoices {
		n := 1 + int(f.odds.ExpFloat64()*20)
		if i < len(s.large) {
			n = s.large[i]
		}
		f.sell(s, i, n)
	}
	return f
}

// sell writes an invoice, bad lines about it, and now and then a credit of its first line.
func (f *synthetic) sell(s shape, i, n int) {
	invoice := f.invoice
	f.invoice++
	f.at = f.at.Add(10 * time.Minute)
	if f.at.Hour() > 19 {
		f.at = time.Date(f.at.Year(), f.at.Month(), f.at.Day()+1, 8, 0, 0, 0, time.UTC)
	}
	customer, land := fmt.Sprintf("%d.0", 12000+f.odds.IntN(s.customers)), lands[0]
	if f.odds.IntN(10) == 0 {
		land = lands[f.odds.IntN(len(lands))]
	}
	guest := f.odds.IntN(8) == 0
	if guest {
		customer = ""
	}
	line := func(number, sku string, quantity, price int) {
		f.lines++
		name := fmt.Sprintf(`"SET OF %d ""RETRO"" TINS, SKU %s"`, len(sku), sku)
		fmt.Fprintf(&f.file, "%s,%s,%s,%d,%s,%d.%02d,%s,%s\r\n", number, sku, name, quantity, f.at.Format("2006-01-02 15:04:05"), price/100, price%100, customer, land)
	}
	bad := func(reason string, count int) {
		f.rejects[reason] += count
	}
	number := strconv.Itoa(invoice)
	tooMany := n > 5000
	var firstSKU string
	var first [2]int
	for j := range n {
		sku, quantity, price := fmt.Sprintf("%dA", 10000+f.odds.IntN(s.skus)), 1+f.odds.IntN(24), 29+f.odds.IntN(1500)
		line(number, sku, quantity, price)
		if tooMany {
			continue
		}
		if j == 0 {
			firstSKU, first = sku, [2]int{quantity, price}
		}
		f.orderLines++
		f.units += quantity
		f.goods += int64(quantity * price)
		f.skus[sku] = true
	}
	if tooMany {
		bad("too_large", n)
		return
	}
	f.orders++
	f.countries[land] = true
	if guest {
		f.guests++
	} else {
		f.customers[customer] = true
	}
	switch f.odds.IntN(25) {
	case 0:
		line(number, "POST", 1, 1800)
		f.shipping++
		f.postage += 1800
	case 1:
		line(number, "M", 1, 100)
		bad("not_goods", 1)
	case 2:
		line(number, "20000A", -3, 100)
		bad("bad_quantity", 1)
	case 3:
		line(number, "20000A", 3, 0)
		bad("no_price", 1)
	case 4:
		line(number, "20000A", 1_000_001, 100)
		bad("too_large", 1)
	case 5:
		line("A"+number, "20000A", 1, 100)
		bad("malformed", 1)
	case 6:
		fmt.Fprintf(&f.file, "%s,20000A,\"NEVER CLOSED,1,%s,1.00,,%s\r\n", number, f.at.Format("2006-01-02 15:04:05"), land)
		f.lines++
		bad("malformed", 1)
	case 7:
		line(strconv.Itoa(900000+i%100000), "DOT", 1, 100)
		bad("shipping_without_goods", 1)
	case 8, 9:
		f.at = f.at.Add(time.Minute)
		if guest {
			line("C"+number, firstSKU, -first[0], first[1])
			bad("credit_without_customer", 1)
			return
		}
		line("C"+number, firstSKU, -first[0], first[1])
		f.returned++
		f.back += first[0]
		f.refunded += int64(first[0] * first[1])
		line("C"+number, "30000A", -1, 5)
		bad("credit_without_sale", 1)
	}
}

func (f *synthetic) write(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "synthetic.csv")
	if err := os.WriteFile(file, []byte(f.file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A file of the public data set's shape goes through, with its largest invoice, one of as many lines as can be recorded, and without
// one of a line more; the long version has its size. What it comes to is what the generator counted. Again, it changes nothing.
func TestImportOfThePublicShape(t *testing.T) {
	t.Parallel()
	limit := 10 * time.Minute
	s := shape{invoices: 120, skus: 400, customers: 60, large: []int{1114, 5000, 5001}}
	if os.Getenv("DAYBOOK_LONG") != "" {
		s = shape{invoices: 25900, skus: 4070, customers: 4372, large: s.large}
		limit = 90 * time.Minute
	}
	f := synthesise(s)
	file, dir := f.write(t), testenv.DataDir(t)
	got, said := importWithin(t, limit, dir, file)
	t.Logf("commands/s of each tenth: %v", pace(said))
	rejected := 0
	for _, n := range f.rejects {
		rejected += n
	}
	for name, n := range map[string]int64{
		"lines": int64(f.lines), "order_lines": int64(f.orderLines), "shipping_lines": int64(f.shipping), "return_lines": int64(f.returned), "rejected": int64(rejected),
		"orders": int64(f.orders), "guests": int64(f.guests), "products": int64(len(f.skus)), "customers": int64(len(f.customers)), "units": int64(f.units),
		"goods": f.goods, "shipping": f.postage, "total": f.goods + f.postage, "returned_units": int64(f.back), "refunded": f.refunded, "repeated": 0,
	} {
		if fmt.Sprint(got[name]) != strconv.FormatInt(n, 10) {
			t.Errorf("%s is %v, the generator counted %d", name, got[name], n)
		}
	}
	reasons, err := json.Marshal(f.rejects)
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := json.Marshal(got["rejects"]); err != nil || string(seen) != string(reasons) {
		t.Errorf("rejects %s, the generator counted %s", seen, reasons)
	}
	t.Logf("%d lines, %d orders in %v s (%v orders/s), readable %v s later", f.lines, f.orders, got["seconds"], got["orders_per_second"], got["readable_after_seconds"])
	p := testenv.Start(t, testenv.Options{DataDir: dir})
	var order struct{ Lines []json.RawMessage }
	p.Client().Get(t, "/v1/orders/536366").Into(t, &order)
	if len(order.Lines) != 5000 {
		t.Errorf("the largest order is shown with %d lines", len(order.Lines))
	}
	sum := sums{}
	for _, country := range report(t, p.Client(), "country", "") {
		sum.Orders, sum.Units, sum.Total, sum.Refunded = sum.Orders+country.Orders, sum.Units+country.Units, sum.Total+country.Total, sum.Refunded+country.Refunded
	}
	if want := (sums{Orders: int64(f.orders), Units: int64(f.units), Total: f.goods + f.postage, Refunded: f.refunded}); sum != want {
		t.Errorf("the reports sum to %+v, the generator counted %+v", sum, want)
	}
	began := time.Now()
	if out, errs, err := testenv.RunWithin(t, limit, "doctor", "--data-dir", dir); err != nil {
		t.Errorf("doctor: %v\n%s\n%s", err, out, errs)
	}
	t.Logf("the doctor took %s", time.Since(began).Round(time.Millisecond))
	again, _ := importWithin(t, limit, dir, file)
	if fmt.Sprint(again["recorded"]) != "0" {
		t.Errorf("again, %v commands were recorded", again["recorded"])
	}
	t.Logf("again, it took %v s", again["seconds"])
}

// pace is how many commands a second were answered in each tenth of an import, by its own account.
func pace(said string) (perSecond []int) {
	type moment struct {
		Done, Of  float64
		PerSecond float64 `json:"per_second"`
	}
	var last, m moment
	for line := range strings.Lines(said) {
		if json.Unmarshal([]byte(line), &m) == nil && m.PerSecond > 0 && (m.Done-last.Done)*10 >= m.Of {
			took := m.Done / m.PerSecond
			if last.PerSecond > 0 {
				took -= last.Done / last.PerSecond
			}
			perSecond = append(perSecond, int((m.Done-last.Done)/max(took, 0.001)))
			last = m
		}
	}
	return perSecond
}
