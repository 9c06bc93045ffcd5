package imports_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/tour"
)

// importFile runs the importer against a data directory and gives its summary.
func importFile(t *testing.T, dataDir, file string) map[string]any {
	t.Helper()
	summary, _ := importWithin(t, 10*time.Minute, dataDir, file)
	return summary
}

// importWithin is importFile with a limit of its own, and gives what was said on the way.
func importWithin(t *testing.T, limit time.Duration, dataDir, file string) (summary map[string]any, said string) {
	t.Helper()
	out, errs, err := testenv.RunWithin(t, limit, "import", "online-retail", "--data-dir", dataDir, "--json", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	summary = map[string]any{}
	d := json.NewDecoder(strings.NewReader(out))
	d.UseNumber()
	if err := d.Decode(&summary); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return summary, errs
}

// The whole file: import.md's numbers, an independent recount per month, country and product, and at ten past moments;
// a second run changes nothing.
func TestImport(t *testing.T) {
	sample := testenv.Sample(t)
	want := count(t, sample)
	p := testenv.Start(t, testenv.Options{})
	c := p.Client()
	s := importFile(t, p.DataDir, sample)
	for name, n := range map[string]string{
		"lines": "30000", "order_lines": "29235", "shipping_lines": "56", "return_lines": "51", "rejected": "658",
		"orders": "11802", "guests": "628", "with_shipping": "56", "products": "2959", "customers": "3540", "units": "344802",
		"goods": "59084479", "shipping": "773194", "total": "59857673", "returned_units": "292", "refunded": "80257", "net": "59777416",
		"repeated": "0",
	} {
		if fmt.Sprint(s[name]) != n {
			t.Errorf("summary: %s is %v, want %s", name, s[name], n)
		}
	}
	if got := fmt.Sprint(s["rejects"]); got != "map[bad_quantity:13 credit_without_customer:1 credit_without_sale:541 no_price:23 not_goods:49 shipping_without_goods:31]" {
		t.Errorf("summary: rejects %s", got)
	}
	t.Logf("%v orders/s, readable %v s after the last event", s["orders_per_second"], s["readable_after_seconds"])
	if b, err := os.ReadFile(fmt.Sprint(s["rejects_file"])); err != nil || bytes.Count(b, []byte("\n")) < 659 {
		t.Errorf("rejects file: %v, %d lines", err, bytes.Count(b, []byte("\n")))
	}
	at := "&min_position=" + fmt.Sprint(s["position"])
	checkReports(t, c, want, time.Now(), at)
	june := report(t, c, "month", at)["2011-06"]
	if june.Orders != 886 || june.Units != 27664 || june.Total != 4453325 {
		t.Errorf("2011-06: %+v", june)
	}
	for i := range 10 { // moments between the first invoice and the last
		then := time.Date(2010, 12, 1, 9, 0, 0, 0, time.UTC).Add(time.Duration(i) * 37 * 24 * time.Hour).Add(time.Duration(i) * 47 * time.Minute)
		checkReports(t, c, want, then, at+"&as_of="+url.QueryEscape(then.Format(time.RFC3339)))
	}
	checkStock(t, c, want, at)
	before := tour.End(t, p.Client())
	again := importFile(t, p.DataDir, sample)
	if fmt.Sprint(again["recorded"]) != "0" || tour.End(t, p.Client()) != before {
		t.Errorf("the second run recorded %v commands; position from %s to %s", again["recorded"], before, tour.End(t, p.Client()))
	}
}

func checkReports(t *testing.T, c *testenv.Client, want *recount, until time.Time, query string) {
	t.Helper()
	compareSums(t, "month", query, want.by(want.month, until, true), report(t, c, "month", query))
	compareSums(t, "country", query, want.by(want.country, until, true), report(t, c, "country", query))
	compareSums(t, "product", query, want.by(want.product, until, false), report(t, c, "product", query))
}

func compareSums(t *testing.T, by, query string, want, got map[string]sums) {
	t.Helper()
	for g, w := range want {
		if got[g] != w {
			t.Errorf("by %s%s: %s is %+v, want %+v", by, query, g, got[g], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("by %s%s: %d groups, want %d", by, query, len(got), len(want))
	}
}

// report reads all pages of a report.
func report(t *testing.T, c *testenv.Client, by, query string) map[string]sums {
	t.Helper()
	out := map[string]sums{}
	cursor := ""
	for {
		var page struct {
			Items []struct {
				Month, Country, SKU                                        string
				Orders, Units, Goods, Shipping, Total, Cancelled, Refunded int64
				ReturnedUnits                                              int64 `json:"returned_units"`
			}
			Next *string
		}
		c.Get(t, "/v1/reports/sales?limit=200&by="+by+query+cursor).Into(t, &page)
		for _, i := range page.Items {
			out[i.Month+i.Country+i.SKU] = sums{i.Orders, i.Units, i.Goods, i.Shipping, i.Total, i.ReturnedUnits, i.Refunded}
		}
		if page.Next == nil {
			return out
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Next)
	}
}

// checkStock: what is left of each SKU is what came back, and there are as many products and orders as there should be.
func checkStock(t *testing.T, c *testenv.Client, want *recount, query string) {
	t.Helper()
	back := map[string]int64{}
	orders := map[string]bool{}
	for _, s := range want.sales {
		back[s.sku] += s.credited
		orders[s.invoice] = true
	}
	for sku, n := range back {
		var got struct {
			OnHand, Reserved int64
		}
		c.Get(t, "/v1/stock/"+url.PathEscape(sku)+"?"+query[1:]).Into(t, &struct {
			OnHand   *int64 `json:"on_hand"`
			Reserved *int64 `json:"reserved"`
		}{&got.OnHand, &got.Reserved})
		if got.OnHand != n || got.Reserved != 0 {
			t.Errorf("stock of %s: %+v, want %d on hand", sku, got, n)
		}
	}
	if n := pages(t, c, "/v1/products?limit=200"+query); n != len(back) {
		t.Errorf("%d products, want %d", n, len(back))
	}
	if n := pages(t, c, "/v1/orders?limit=200&status=closed"+query); n != len(orders) {
		t.Errorf("%d orders, want %d", n, len(orders))
	}
}

// pages counts the items of all pages.
func pages(t *testing.T, c *testenv.Client, path string) (n int) {
	t.Helper()
	cursor := ""
	for {
		var page struct {
			Items []json.RawMessage
			Next  *string
		}
		c.Get(t, path+cursor).Into(t, &page)
		n += len(page.Items)
		if page.Next == nil {
			return n
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Next)
	}
}

// head is the first lines of the sample, in a file.
func head(t *testing.T, lines int) string {
	t.Helper()
	b, err := os.ReadFile(testenv.Sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if lines > 0 {
		b = bytes.Join(bytes.SplitAfterN(b, []byte("\n"), lines+2)[:lines+1], nil)
	}
	file := filepath.Join(t.TempDir(), "online-retail.csv")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
