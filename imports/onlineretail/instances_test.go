package onlineretail

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// A file of another shape is refused whole, and its error says in what.
func TestOtherShapesAreNamed(t *testing.T) {
	names := strings.Split(Header, ",")
	swapped := append([]string{names[1], names[0]}, names[2:]...)
	twice := append([]string{names[0], names[0]}, names[2:]...)
	for _, tt := range []struct{ name, file, want string }{
		{"empty", "", "the file is empty"},
		{"a byte order mark alone", "\ufeff", "the file is empty"},
		{"header alone", Header + "\n", "nothing follows"},
		{"carriage returns alone", Header + "\r" + good + "\r", "carriage return"},
		{"semicolons", strings.ReplaceAll(Header+"\n"+good, ",", ";"), `separated by ";"`},
		{"tabs", strings.ReplaceAll(Header+"\n"+good, ",", "\t"), `separated by "\t"`},
		{"other case", strings.ToLower(Header) + "\n" + good, `column 1 is "invoiceno", not InvoiceNo`},
		{"other order", strings.Join(swapped, ",") + "\n" + good, `column 1 is "StockCode", not InvoiceNo`},
		{"a name twice", strings.Join(twice, ",") + "\n" + good, `column 2 is "InvoiceNo", not StockCode`},
		{"more columns", Header + ",Note\n" + good + ",x", "9 columns, not 8"},
		{"fewer columns", strings.Join(names[:7], ",") + "\n" + good, "column 8, Country, is missing"},
		{"no header", good + "\n" + good, `column 1 is "536365", not InvoiceNo`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(tt.file)); !errors.Is(err, ErrHeader) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// Each field that is written in a way of its own is rejected with the name of its column, and the detail stays short.
func TestFieldsWrittenOtherwise(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"header again", good, Header, "column InvoiceNo"},
		{"amount in scientific notation", "2.55", "2.55E+02", "column UnitPrice"},
		{"quantity in scientific notation", ",6,", ",6e0,", "column Quantity"},
		{"invoice in scientific notation", "536365", "5.36365E+05", "column InvoiceNo"},
		{"customer in scientific notation", "17850.0", "1.785E+04", "column CustomerID"},
		{"thousands separator in an amount", "2.55", `"2,550.00"`, "column UnitPrice"},
		{"thousands separator in a quantity", ",6,", `,"6,000",`, "column Quantity"},
		{"decimal comma", "2.55", `"2,55"`, "column UnitPrice"},
		{"currency sign", "2.55", "£2.55", "column UnitPrice"},
		{"digits of another script", ",6,", ",٦,", "column Quantity"},
		{"leap day of another year", "2010-12-01", "2011-02-29", "column InvoiceDate"},
		{"day first", "2010-12-01 08:26:00", "01/12/2010 08:26", "column InvoiceDate"},
		{"year of five digits", "2010-12-01", "12010-12-01", "column InvoiceDate"},
		{"second 60", "08:26:00", "08:26:60", "column InvoiceDate"},
		{"card number in the description", "WHITE HANGING HEART", "PAID BY 4111 1111-1111 1111", "column Description holds what looks like the number of a payment card"},
		{"card number as the SKU", "85123a", "4111111111111111", "column StockCode holds"},
		{"card number as the customer", "17850.0", "4111111111111111.0", "column CustomerID holds"},
		{"long country", "United Kingdom", strings.Repeat("K", 30<<10), "column Country"},
		{"long invoice", "536365", strings.Repeat("5", 30<<10), "column InvoiceNo"},
		{"long customer", "17850.0", strings.Repeat("1", 30<<10), "column CustomerID"},
		{"long SKU", "85123a", strings.Repeat("a", 30<<10), "column StockCode"},
		{"long date", "2010-12-01", strings.Repeat("2", 30<<10), "column InvoiceDate"},
		{"long price", "2.55", strings.Repeat("2", 30<<10) + "x", "column UnitPrice"},
		{"long quantity", ",6,", "," + strings.Repeat("x", 30<<10) + ",", "column Quantity"},
		{"lines joined by a carriage return", "United Kingdom", "United Kingdom\r" + good, "15 columns, not 8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(good, tt.old, tt.new, 1)
			h, err := Read(strings.NewReader(Header + "\n" + good + "\n" + text + "\n" + strings.Replace(good, "536365", "536366", 1) + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Orders) != 2 || len(h.Rejects) != 1 {
				t.Fatalf("%d orders, %d rejects", len(h.Orders), len(h.Rejects))
			}
			r := h.Rejects[0]
			if r.Reason != Malformed || r.Line != 3 || r.Text != text || !strings.Contains(r.Detail, tt.want) || len(r.Detail) > 200 {
				t.Errorf("line %d, %s: %.300s", r.Line, r.Reason, r.Detail)
			}
		})
	}
}

// Trade item numbers are as long as card numbers, and no such.
func TestTradeItemNumbersAreGoods(t *testing.T) {
	h, err := Read(strings.NewReader(Header + "\n" + strings.Replace(good, "85123a", "4006381333931", 1)))
	if err != nil || len(h.Orders) != 1 || len(h.Rejects) != 0 {
		t.Errorf("%+v %v", h, err)
	}
}

// What lies in the future is not recorded, and said line by line; once its time has come, the same file is taken whole.
func TestInvoicesOfTheFutureAreRejects(t *testing.T) {
	w := world{t, memory.New()}
	year := time.Now().Year() + 2
	file := fmt.Sprintf("%s500003,Z,Plum,2,%d-06-01 10:00:00,2.00,7,France\n500004,A,Apple,2,%d-06-01 10:00:00,1.00,,France\n", small, year, year)
	h, _ := w.run(file)
	if len(h.Orders) != 2 || len(h.Rejects) != 2 || h.Rejects[0].Line != 7 || h.Rejects[1].Line != 8 || h.Rejects[0].Reason != Refused || !strings.Contains(h.Rejects[0].Detail, "future") {
		t.Errorf("%d orders, rejects %+v", len(h.Orders), h.Rejects)
	}
	h, err := Read(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	later := es.NewHandler(w.store, w.handler().Catalog(), func() time.Time { return time.Date(year+1, 1, 1, 0, 0, 0, 0, time.UTC) })
	if r, err := (&Import{Handler: later, History: h}).Run(t.Context()); err != nil || len(h.Orders) != 4 || len(h.Rejects) != 0 || r.Recorded == 0 {
		t.Errorf("later %d orders, rejects %+v, %+v %v", len(h.Orders), h.Rejects, r, err)
	}
	if n := w.incomplete(h); n != 0 {
		t.Errorf("%d orders are incomplete", n)
	}
}

// Two imports of one file at once come to what one comes to, and neither rejects anything.
func TestTwoImportsAtOnce(t *testing.T) {
	file := bazaar(150)
	one, both := world{t, memory.New()}, world{t, memory.New()}
	one.run(file)
	var running sync.WaitGroup
	for range 2 {
		h, err := Read(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		handler := both.handler()
		running.Go(func() {
			r, err := (&Import{Handler: handler, History: h, Pause: time.Microsecond}).Run(t.Context())
			if err != nil || len(h.Rejects) != 0 || len(r.Notes) != 0 {
				t.Errorf("%v, rejects %+v, notes %q", err, h.Rejects, r.Notes)
			}
		})
	}
	running.Wait()
	if diff := cmp.Diff(one.streams(), both.streams()); diff != "" {
		t.Errorf("unlike one import\n%s", diff)
	}
}
