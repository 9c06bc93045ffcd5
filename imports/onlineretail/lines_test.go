package onlineretail

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
)

const good = "536365,85123a,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom"

func TestHeaderIsExact(t *testing.T) {
	for _, file := range []string{"", "\n", "\ufeff", strings.ToLower(Header) + "\n" + good, good, Header} {
		if _, err := Read(strings.NewReader(file)); !errors.Is(err, ErrHeader) {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestOtherEncodingsAreRefused(t *testing.T) {
	file := Header + "\n" + good + "\n" + strings.Replace(good, "WHITE", "\xa3 2", 1) + "\n"
	if _, err := Read(strings.NewReader(file)); !errors.Is(err, ErrEncoding) || !strings.Contains(err.Error(), "line 3") {
		t.Error(err)
	}
}

// Each broken line is rejected by itself, with its number and its text; the lines around it are read.
func TestBrokenLines(t *testing.T) {
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for _, tt := range []struct {
		name, text string
		want       Reason
	}{
		{"columns", good + ",x", Malformed},
		{"empty", "", Malformed},
		{"open quote", with("WHITE", `"WHITE`), Malformed},
		{"stray quote", with("WHITE", `WH"ITE`), Malformed},
		{"U+0000", with("WHITE", "\x00"), Malformed},
		{"invoice", with("536365", "A536365"), Malformed},
		{"short invoice", with("536365", "53636"), Malformed},
		{"quantity", with(",6,", ",six,"), Malformed},
		{"no such day", with("2010-12-01", "2010-13-01"), Malformed},
		{"skipped hour", with("2010-12-01 08:26:00", "2011-03-27 01:30:00"), Malformed},
		{"three decimals", with("2.55", "2.555"), Malformed},
		{"no price", with("2.55", "0"), NoPrice},
		{"negative price", with("2.55", "-1.00"), NoPrice},
		{"text after a quote", with("WHITE HANGING HEART", `"WHITE"HEART`), Malformed},
		{"quantity beyond any number", with(",6,", ",99999999999999999999,"), TooLarge},
		{"too many units", with(",6,", ",1000001,"), TooLarge},
		{"price beyond any amount", with("2.55", "90071992547409.92"), TooLarge},
		{"goods beyond any amount", strings.Replace(with(",6,", ",1000000,"), "2.55", "90071992548.00", 1), TooLarge},
		{"postage beyond any amount", strings.Replace(with("85123a", "POST"), "2.55", "99999999999999999999", 1), TooLarge},
		{"credit of too many units", strings.Replace(with("536365", "C536365"), ",6,", ",-1000001,", 1), TooLarge},
		{"description too long", with("WHITE HANGING HEART", strings.Repeat("W", 201)), Malformed},
		{"description that shows nothing", with("WHITE HANGING HEART", ""), Malformed},
		{"SKU", with("85123a", "85 123a"), Malformed},
		{"line too long", with("WHITE HANGING HEART", strings.Repeat("W", 65<<10)), Malformed},
		{"country", with("United Kingdom", "Atlantis"), Malformed},
		{"not goods", with("85123a", "M"), NotGoods},
		{"gift card", with("85123a", "gift_0001_20"), NotGoods},
		{"postage on a credit", with("536365,85123a", "C536365,POST"), NotGoods},
		{"postage alone", with("536365,85123a", "536399,POST"), ShippingWithoutGoods},
		{"no units", with(",6,", ",0,"), BadQuantity},
		{"credit with units", with("536365", "C536365"), BadQuantity},
		{"credit of no customer", strings.Replace(with("536365", "C536365"), ",6,2010-12-01 08:26:00,2.55,17850.0", ",-6,2010-12-01 08:26:00,2.55,", 1), CreditWithoutCustomer},
		{"credit too large", strings.Replace(with("536365", "C536365"), ",6,", ",-7,", 1), CreditWithoutSale},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Read(strings.NewReader(Header + "\n" + good + "\n" + tt.text + "\n" + strings.Replace(good, "536365", "536366", 1) + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Rejects) != 1 || h.Rejects[0].Reason != tt.want || h.Rejects[0].Line != 3 || h.Rejects[0].Text != tt.text {
				t.Fatalf("rejects %+v", h.Rejects)
			}
			if len(h.Orders) != 2 || h.Lines != 3 {
				t.Errorf("%d orders of %d lines", len(h.Orders), h.Lines)
			}
		})
	}
}

// RFC 4180: a byte order mark, CRLF, quotes, commas and line breaks within them; `line` is the physical line a record begins on.
func TestRecordsOverSeveralLines(t *testing.T) {
	file := "\ufeff" + strings.Join([]string{
		Header,
		`536365,85123A,"WHITE, ""HANGING""` + "\r\n\r\n" + ` HEART",6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom`,
		`536366,85123A,"NEVER CLOSED,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom`,
		`536367,85123A,"WHITE, HEART",6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom`,
		`536368,85123A,RED,six,2010-12-01 08:26:00,2.55,17850.0,United Kingdom`,
		`536369,85123A,"NOT CLOSED EITHER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom`,
	}, "\r\n") + "\r\n"
	h, err := Read(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Orders) != 2 || h.Orders[0].Lines[0].Name != `WHITE, "HANGING" HEART` || h.Orders[0].Lines[0].Source != 2 || h.Orders[1].Lines[0].Source != 6 {
		t.Errorf("orders %+v", h.Orders)
	}
	var at []int
	for _, r := range h.Rejects {
		at = append(at, r.Line)
	}
	if !slices.Equal(at, []int{5, 7, 8}) || h.Lines != 5 {
		t.Errorf("of %d records rejected %v: %+v", h.Lines, at, h.Rejects)
	}
}

func TestOtherEncodingsAreNamed(t *testing.T) {
	for _, order := range []struct{ mark, a, b string }{{"\xff\xfe", "", "\x00"}, {"\xfe\xff", "\x00", ""}, {"", "", "\x00"}, {"", "\x00", ""}} {
		var file strings.Builder
		file.WriteString(order.mark)
		for _, c := range Header + "\n" + good {
			file.WriteString(order.a + string(c) + order.b)
		}
		if _, err := Read(strings.NewReader(file.String())); !errors.Is(err, ErrEncoding) || !strings.Contains(err.Error(), "UTF-16") {
			t.Error(err)
		}
	}
}

// An invoice that is too large as a whole is left out with all of its lines, and it alone.
func TestInvoicesTooLarge(t *testing.T) {
	costly := strings.Replace(strings.Replace(good, "2.55", "90071992547.00", 1), ",6,", ",999,", 1)
	many := slices.Repeat([]string{good}, order.MaxRecordedLines+1)
	long := slices.Repeat([]string{strings.Replace(good, "WHITE HANGING HEART", strings.Repeat("W", 190), 1)}, order.MaxRecordedLines)
	postage := strings.Replace(good, "85123a", "POST", 1)
	for _, tt := range []struct {
		name  string
		lines []string
	}{
		{"sum", []string{costly, costly}},
		{"sum with postage", []string{costly, strings.Replace(costly, "85123a", "POST", 1)}},
		{"lines", append(many, postage)},
		{"names", append(long, postage)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := append([]string{Header, strings.Replace(good, "536365", "536366", 1)}, tt.lines...)
			h, err := Read(strings.NewReader(strings.Join(lines, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Orders) != 1 || h.Orders[0].Invoice != "536366" || len(h.Rejects) != len(tt.lines) || h.Shipping != 0 {
				t.Fatalf("%d orders, %d of %d lines rejected", len(h.Orders), len(h.Rejects), len(tt.lines))
			}
			for _, r := range h.Rejects {
				if r.Reason != TooLarge {
					t.Fatalf("%+v", r)
				}
			}
		})
	}
	whole, err := Read(strings.NewReader(strings.Join(append([]string{Header}, many[1:]...), "\n")))
	if err != nil || len(whole.Orders) != 1 || len(whole.Orders[0].Lines) != order.MaxRecordedLines {
		t.Errorf("%d orders, %v", len(whole.Orders), err)
	}
}

func TestTimesAreTheShops(t *testing.T) {
	for _, tt := range []struct{ local, want string }{
		{"2010-12-01 08:26:00", "2010-12-01T08:26:00Z"},
		{"2011-07-01 08:26:00", "2011-07-01T07:26:00Z"},
		{"2011-10-30 01:30:00", "2011-10-30T00:30:00Z"}, // twice that night; the earlier
	} {
		h, err := Read(strings.NewReader(Header + "\n" + strings.Replace(good, "2010-12-01 08:26:00", tt.local, 1)))
		if err != nil || len(h.Orders) != 1 {
			t.Fatal(h, err)
		}
		if got := h.Orders[0].At.Format(time.RFC3339); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.local, got, tt.want)
		}
	}
}

func TestCreditsFindTheLatestSale(t *testing.T) {
	file := strings.Join([]string{
		Header,
		"500001,A,Apple,5,2011-01-01 10:00:00,1.00,1.0,France",
		"500002,A,Apple,5,2011-01-02 10:00:00,1.00,1.0,France",
		"500003,A,Apple,5,2011-01-02 10:00:00,1.00,1.0,France",
		"500003,A,Apple,5,2011-01-02 10:00:00,1.00,1.0,France",
		"500004,A,Apple,9,2011-01-09 10:00:00,1.00,1.0,France", // after the credits
		"500005,A,Apple,9,2011-01-01 10:00:00,1.10,1.0,France", // another price
		"500006,A,Apple,9,2011-01-01 10:00:00,1.00,2.0,France", // another customer
		"C500010,A,Apple,-3,2011-01-05 10:00:00,1.00,1.0,France",
		"C500010,A,Apple,-3,2011-01-05 10:00:00,1.00,1.0,France", // too much for line 1 by now
		"C500011,A,Apple,-4,2011-01-06 10:00:00,1.00,1.0,France", // too much for 500003
		"C500012,A,Apple,-6,2011-01-06 10:00:00,1.00,1.0,France", // never split
	}, "\n")
	h, err := Read(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	type given struct {
		credit, order string
		line, units   int
	}
	var got []given
	for _, r := range h.Returns {
		for _, l := range r.Lines {
			got = append(got, given{r.CreditInvoice, r.Order, l.Line, l.Quantity})
		}
	}
	want := []given{{"C500010", "500003", 1, 3}, {"C500010", "500003", 2, 3}, {"C500011", "500002", 1, 4}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(h.Rejects) != 1 || h.Rejects[0].Line != 12 || h.Rejects[0].Reason != CreditWithoutSale {
		t.Errorf("rejects %+v", h.Rejects)
	}
}
