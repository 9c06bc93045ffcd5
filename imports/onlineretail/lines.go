package onlineretail

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
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
	NoPrice               Reason = "no_price"
	CreditWithoutCustomer Reason = "credit_without_customer"
	CreditWithoutSale     Reason = "credit_without_sale"
	ShippingWithoutGoods  Reason = "shipping_without_goods"
	OrderDiffers          Reason = "order_differs" // when it is recorded: the order exists with other content
)

// Reject is a line that was left out.
type Reject struct {
	Line   int // physical, the header is 1
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

const maxLineBytes = 1 << 20

// readLines reads a whole file, its well-formed lines and the others. ErrHeader, ErrEncoding.
func readLines(r io.Reader) ([]line, []Reject, error) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, nil, fmt.Errorf("time zone of the file: %w", err)
	}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	var lines []line
	var rejects []Reject
	for n := 1; s.Scan(); n++ {
		text := strings.TrimSuffix(s.Text(), "\r")
		if !utf8.ValidString(text) {
			return nil, nil, fmt.Errorf("%w: line %d", ErrEncoding, n)
		}
		if n == 1 {
			if text != Header {
				return nil, nil, ErrHeader
			}
			continue
		}
		l, err := parseLine(text, london)
		if err != nil {
			rejects = append(rejects, Reject{n, Malformed, err.Error(), text})
			continue
		}
		l.n, l.text = n, text
		lines = append(lines, l)
	}
	if err := s.Err(); err != nil {
		return nil, nil, fmt.Errorf("read the file after line %d: %w", 1+len(lines)+len(rejects), err)
	}
	if lines == nil && rejects == nil {
		return nil, nil, fmt.Errorf("%w, or nothing follows it", ErrHeader)
	}
	return lines, rejects, nil
}

// parseLine reads one physical line; its error names the column.
func parseLine(text string, london *time.Location) (line, error) {
	if strings.ContainsRune(text, 0) {
		return line{}, errors.New("contains U+0000")
	}
	c := csv.NewReader(strings.NewReader(text))
	c.FieldsPerRecord = -1
	f, err := c.Read()
	if err != nil {
		return line{}, fmt.Errorf("not CSV: %w", err)
	}
	if len(f) != 8 {
		return line{}, fmt.Errorf("%d columns, not 8", len(f))
	}
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	l := line{sku: strings.ToUpper(f[1]), description: f[2], customer: strings.TrimSuffix(f[6], ".0")}
	if l.invoice, l.credit, err = parseInvoice(f[0]); err != nil {
		return line{}, err
	}
	if l.sku == "" {
		return line{}, errors.New("column StockCode: empty")
	}
	if l.quantity, err = strconv.Atoi(f[3]); err != nil || l.quantity > 1e9 || l.quantity < -1e9 {
		return line{}, fmt.Errorf("column Quantity: %q is not a whole number", f[3])
	}
	if l.at, err = parseTime(f[4], london); err != nil {
		return line{}, fmt.Errorf("column InvoiceDate: %w", err)
	}
	if l.price, err = parsePence(f[5]); err != nil {
		return line{}, fmt.Errorf("column UnitPrice: %w", err)
	}
	if _, err := strconv.ParseUint(l.customer, 10, 63); l.customer != "" && err != nil {
		return line{}, fmt.Errorf("column CustomerID: %q is not a number", f[6])
	}
	code, ok := countries[f[7]]
	if !ok {
		return line{}, fmt.Errorf("column Country: %q is not known", f[7])
	}
	l.country = code
	return l, nil
}

func parseInvoice(s string) (number string, credit bool, err error) {
	number, credit = strings.CutPrefix(s, "C")
	if len(number) != 6 || strings.Trim(number, "0123456789") != "" {
		return "", false, fmt.Errorf("column InvoiceNo: %q is not six digits, with or without a C before them", s)
	}
	return number, credit, nil
}

// parseTime reads local time of the shop. A time that the clocks skipped does not exist; of one that they repeated, the
// earlier is meant.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	const layout = "2006-01-02 15:04:05"
	t, err := time.ParseInLocation(layout, s, zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a date and time", s)
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
	bad := fmt.Errorf("%q is not an amount with at most 2 decimals", s)
	digits, negative := strings.CutPrefix(s, "-")
	pounds, pence, dotted := strings.Cut(digits, ".")
	if len(pence) > 2 || dotted && pence == "" || pounds == "" || strings.Trim(pounds+pence, "0123456789") != "" {
		return 0, bad
	}
	n, err := strconv.ParseInt(pounds+(pence + "00")[:2], 10, 64)
	if err != nil || n > 1<<53-1 {
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
