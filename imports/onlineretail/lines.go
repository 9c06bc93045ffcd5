package onlineretail

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/kit/text"
)

// Header is the first line of every such file.
const Header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"

// ErrHeader says that a file is not of this kind: nothing of it is read.
var ErrHeader = errors.New("the first line is not " + Header)

// ErrEncoding says that a file is in another encoding, which would spoil its names: nothing of it is read.
var ErrEncoding = errors.New("the file is not UTF-8")

// Reason is why a line is rejected. The first that applies counts.
type Reason string

const (
	Malformed             Reason = "malformed"
	NotGoods              Reason = "not_goods"
	BadQuantity           Reason = "bad_quantity"
	TooLarge              Reason = "too_large"
	NoPrice               Reason = "no_price"
	CreditWithoutCustomer Reason = "credit_without_customer"
	CreditWithoutSale     Reason = "credit_without_sale"
	ShippingWithoutGoods  Reason = "shipping_without_goods"
	OrderDiffers          Reason = "order_differs" // when it is recorded: the order exists with other content
	Refused               Reason = "refused"       // likewise: it cannot be recorded
)

// Reject is a line that was left out.
type Reject struct {
	Line   int // physical, on which the record begins; the header is 1
	Reason Reason
	Detail string
	Text   string
}

// line is a well-formed line.
type line struct {
	n           int
	text        string
	invoice     string // without the C
	credit      bool
	sku         string
	description string
	quantity    int
	at          time.Time
	price       int64 // pence
	customer    string
	country     string // ISO 3166
}

const columns = 8

// readLines reads a whole file, its well-formed lines and the others. ErrHeader, ErrEncoding.
func readLines(r io.Reader) ([]line, []Reject, error) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, nil, fmt.Errorf("time zone of the file: %w", err)
	}
	all, err := readPhysical(r)
	if err != nil {
		return nil, nil, err
	}
	if err := checkHeader(all); err != nil {
		return nil, nil, err
	}
	var lines []line
	var rejects []Reject
	for at := 1; at < len(all); {
		rec := nextRecord(all, at)
		at += rec.lines
		l, err := line{}, rec.broken
		if err == nil {
			l, err = parseLine(rec.text, london)
		}
		if err != nil {
			rejects = append(rejects, Reject{rec.n, Malformed, err.Error(), rec.text})
			continue
		}
		l.n, l.text = rec.n, rec.text
		lines = append(lines, l)
	}
	return lines, rejects, nil
}

// checkHeader says what is wrong about the first line.
func checkHeader(all []physical) error {
	if len(all) == 0 {
		return fmt.Errorf("%w: the file is empty", ErrHeader)
	}
	if strings.Contains(all[0].text, "\r") {
		return fmt.Errorf("%w: lines end with a carriage return alone; save it with LF or CRLF", ErrHeader)
	}
	want := strings.Split(Header, ",")
	for _, other := range []string{";", "\t", "|"} {
		if strings.Count(all[0].text, other) == len(want)-1 {
			return fmt.Errorf("%w: the columns are separated by %q, not by commas", ErrHeader, other)
		}
	}
	got, err := fields(all[0].text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHeader, err)
	}
	for i, name := range want {
		switch {
		case i >= len(got):
			return fmt.Errorf("%w: column %d, %s, is missing", ErrHeader, i+1, name)
		case got[i] != name:
			return fmt.Errorf("%w: column %d is %.40q, not %s", ErrHeader, i+1, got[i], name)
		}
	}
	switch {
	case len(got) > len(want):
		return fmt.Errorf("%w: it has %d columns, not %d", ErrHeader, len(got), len(want))
	case len(all) == 1:
		return fmt.Errorf("%w with lines after it: nothing follows", ErrHeader)
	}
	return nil
}

// fields reads one record.
func fields(record string) ([]string, error) {
	c := csv.NewReader(strings.NewReader(record))
	c.FieldsPerRecord = -1
	f, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the line is empty")
	}
	if at, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, fmt.Errorf("not CSV: %w", at.Err)
	}
	return f, err
}

// breaks are line breaks within a field, which are blanks of it.
var breaks = regexp.MustCompile(`\s*[\r\n]\s*`)

// parseLine reads one record; its error names the column.
func parseLine(record string, london *time.Location) (line, error) {
	if strings.ContainsRune(record, 0) {
		return line{}, errors.New("contains U+0000")
	}
	f, err := fields(record)
	if err != nil {
		return line{}, err
	}
	if len(f) != columns {
		return line{}, fmt.Errorf("%d columns, not %d", len(f), columns)
	}
	for i := range f {
		f[i] = strings.TrimSpace(breaks.ReplaceAllString(f[i], " "))
	}
	l := line{sku: strings.ToUpper(f[1]), description: f[2], customer: strings.TrimSuffix(f[6], ".0")}
	if l.invoice, l.credit, err = parseInvoice(f[0]); err != nil {
		return line{}, err
	}
	if l.sku == "" {
		return line{}, errors.New("column StockCode: empty")
	}
	if column := cardIn(l); column != "" {
		return line{}, fmt.Errorf("column %s holds what looks like the number of a payment card", column)
	}
	if l.quantity, err = strconv.Atoi(f[3]); err != nil && !errors.Is(err, strconv.ErrRange) { // what is out of range is too large
		return line{}, fmt.Errorf("column Quantity: %.40q is not a whole number", f[3])
	}
	if l.at, err = parseTime(f[4], london); err != nil {
		return line{}, fmt.Errorf("column InvoiceDate: %w", err)
	}
	if l.price, err = parsePence(f[5]); err != nil {
		return line{}, fmt.Errorf("column UnitPrice: %w", err)
	}
	if _, err := strconv.ParseUint(l.customer, 10, 63); l.customer != "" && err != nil {
		return line{}, fmt.Errorf("column CustomerID: %.40q is not a number", f[6])
	}
	code, ok := countries[f[7]]
	if !ok {
		return line{}, fmt.Errorf("column Country: %.40q is not known", f[7])
	}
	l.country = code
	return l, nil
}

// cardIn is the column that holds a card number, or "". Events are kept for good, and card numbers never belong into them.
func cardIn(l line) string {
	switch {
	case text.CardID(l.sku) && !text.GTIN(l.sku):
		return "StockCode"
	case text.Card(l.description):
		return "Description"
	case text.CardID(l.customer):
		return "CustomerID"
	}
	return ""
}

func parseInvoice(s string) (number string, credit bool, err error) {
	number, credit = strings.CutPrefix(s, "C")
	if len(number) != 6 || strings.Trim(number, "0123456789") != "" {
		return "", false, fmt.Errorf("column InvoiceNo: %.40q is not six digits, with or without a C before them", s)
	}
	return number, credit, nil
}

// parseTime reads local time of the shop. A time that the clocks skipped does not exist; of one that they repeated, the
// earlier is meant.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	const layout = "2006-01-02 15:04:05"
	t, err := time.ParseInLocation(layout, s, zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a date and time", s)
	}
	if t.Format(layout) != s {
		return time.Time{}, fmt.Errorf("%q does not exist in %s", s, zone)
	}
	if before := t.Add(-time.Hour); before.Format(layout) == s {
		t = before
	}
	return t.UTC(), nil
}

func parsePence(s string) (int64, error) {
	bad := fmt.Errorf("%.40q is not an amount with at most 2 decimals", s)
	digits, negative := strings.CutPrefix(s, "-")
	pounds, pence, dotted := strings.Cut(digits, ".")
	if len(pence) > 2 || dotted && pence == "" || pounds == "" || strings.Trim(pounds+pence, "0123456789") != "" {
		return 0, bad
	}
	n, err := strconv.ParseInt(pounds+(pence + "00")[:2], 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // what is out of range is too large
		return 0, bad
	}
	if negative {
		n = -n
	}
	return n, nil
}

var countries = map[string]string{
	"Australia": "AU", "Austria": "AT", "Bahrain": "BH", "Belgium": "BE", "Brazil": "BR", "Canada": "CA", "Channel Islands": "XC",
	"Cyprus": "CY", "Czech Republic": "CZ", "Denmark": "DK", "EIRE": "IE", "European Community": "EU", "Finland": "FI", "France": "FR",
	"Germany": "DE", "Greece": "GR", "Hong Kong": "HK", "Iceland": "IS", "Israel": "IL", "Italy": "IT", "Japan": "JP", "Lebanon": "LB",
	"Lithuania": "LT", "Malta": "MT", "Netherlands": "NL", "Norway": "NO", "Poland": "PL", "Portugal": "PT", "RSA": "ZA",
	"Saudi Arabia": "SA", "Singapore": "SG", "Spain": "ES", "Sweden": "SE", "Switzerland": "CH", "USA": "US",
	"United Arab Emirates": "AE", "United Kingdom": "GB", "Unspecified": "ZZ",
}
