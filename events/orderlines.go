package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// MaxRecordedBytes is how large the snapshot of a recorded order may be. What shipped and delivered 5,000 lines takes is beside it
// in one append of at most 1 MiB.
const MaxRecordedBytes = 640 << 10

// MaxBytes lets recorded orders be larger than other events: an invoice of another system has as many lines as it has.
func (e OrderPlaced) MaxBytes() int {
	if e.Recorded {
		return MaxRecordedBytes
	}
	return 0
}

// OrderLines are written one object each. Many lines of which each is just a SKU, a name, a quantity and a price are written as a table:
// the names of the columns, then a row of values per line. What a table leaves out follows from it: lines are numbered
// from 1, total = quantity × unit price, the reservation is <order>/<line>/1, without tax or discount.
type OrderLines []OrderLine

const tableFrom = 501 // lines

// lineTable is the short form.
type lineTable struct {
	Order    string    `json:"order"`
	TaxClass string    `json:"tax_class"`
	Columns  []string  `json:"columns"`
	Rows     []lineRow `json:"rows"`
}

type lineRow struct {
	SKU, Name            string
	Quantity             int
	UnitPrice, ListPrice int64
	Agreed               bool
	Ref                  string
}

var lineColumns = []string{"sku", "name", "quantity", "unit_price", "list_price", "agreed", "ref"}

func (r lineRow) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{r.SKU, r.Name, r.Quantity, r.UnitPrice, r.ListPrice, r.Agreed, r.Ref})
}

func (r *lineRow) UnmarshalJSON(b []byte) error {
	into := []any{&r.SKU, &r.Name, &r.Quantity, &r.UnitPrice, &r.ListPrice, &r.Agreed, &r.Ref}
	n := len(into)
	if err := json.Unmarshal(b, &into); err != nil {
		return err
	}
	if len(into) != n {
		return fmt.Errorf("a row of %d values, not %d", len(into), n)
	}
	return nil
}

// table gives the short form of lines that it says all of.
func (lines OrderLines) table() (lineTable, bool) {
	if len(lines) < tableFrom {
		return lineTable{}, false
	}
	order, ok := orderOf(lines[0].ReservationID)
	t := lineTable{Order: order, TaxClass: lines[0].TaxClass, Columns: lineColumns, Rows: make([]lineRow, len(lines))}
	for i, l := range lines {
		t.Rows[i] = lineRow{l.SKU, l.Name, l.Quantity, l.UnitPrice, l.ListPrice, l.Agreed, l.Ref}
		ok = ok && t.line(i) == l
	}
	return t, ok
}

func (t lineTable) line(i int) OrderLine {
	r := t.Rows[i]
	return OrderLine{
		Line: i + 1, SKU: r.SKU, Name: r.Name, Quantity: r.Quantity, ListPrice: r.ListPrice, UnitPrice: r.UnitPrice, Agreed: r.Agreed,
		TaxClass: t.TaxClass, Total: r.UnitPrice * int64(r.Quantity), ReservationID: t.Order + "/" + strconv.Itoa(i+1) + "/1", Ref: r.Ref,
	}
}

// orderOf is the order in the reservation of its first line.
func orderOf(reservation string) (string, bool) {
	const first = "/1/1"
	n := len(reservation) - len(first)
	if n < 0 || reservation[n:] != first {
		return "", false
	}
	return reservation[:n], true
}

func (lines OrderLines) MarshalJSON() ([]byte, error) {
	if t, ok := lines.table(); ok {
		return json.Marshal(t)
	}
	return json.Marshal([]OrderLine(lines))
}

func (lines *OrderLines) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, []byte("{")) {
		return json.Unmarshal(b, (*[]OrderLine)(lines))
	}
	var t lineTable
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	if !slices.Equal(t.Columns, lineColumns) {
		return fmt.Errorf("lines in columns %q, not %q", t.Columns, lineColumns)
	}
	*lines = make(OrderLines, len(t.Rows))
	for i := range t.Rows {
		(*lines)[i] = t.line(i)
	}
	return nil
}
