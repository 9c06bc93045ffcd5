package events_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/events"
)

func manyLines(n int) events.OrderLines {
	lines := make(events.OrderLines, n)
	for i := range lines {
		lines[i] = events.OrderLine{
			Line: i + 1, SKU: fmt.Sprintf("SKU%d", i), Name: "A \"thing\", boxed", Quantity: 3, ListPrice: 250, UnitPrice: int64(250 + i%2), Agreed: i%2 == 1,
			TaxClass: "standard", Total: int64(3 * (250 + i%2)), ReservationID: fmt.Sprintf("O/%d/1", i+1), Ref: fmt.Sprintf("line:%d", i+2),
		}
	}
	return lines
}

// Lines read back as they were, in whichever form they were written: the table where it says everything, else one object each.
func TestOrderLinesInBothForms(t *testing.T) {
	taxed := manyLines(501)
	taxed[500].Tax = 1
	elsewhere := manyLines(501)
	elsewhere[7].ReservationID = "P/8/1"
	for _, tt := range []struct {
		name  string
		lines events.OrderLines
		table bool
	}{
		{"none", nil, false},
		{"few", manyLines(500), false},
		{"many", manyLines(501), true},
		{"one has tax", taxed, false},
		{"one has a reservation of its own", elsewhere, false},
	} {
		b, err := json.Marshal(tt.lines)
		if err != nil {
			t.Fatal(err)
		}
		var back events.OrderLines
		if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, tt.lines) {
			t.Errorf("%s: lost on its way through JSON (%v)", tt.name, err)
		}
		if table := strings.HasPrefix(string(b), "{"); table != tt.table {
			t.Errorf("%s: written as a table: %t", tt.name, table)
		}
	}
}

// The most lines that a recorded order may have fit the event, with names of the usual length.
func TestRecordedOrderOf5000LinesFits(t *testing.T) {
	lines := manyLines(5000)
	for i := range lines {
		lines[i].Name = "VINTAGE UNION JACK BUNTING, LARGE"
	}
	b, err := json.Marshal(events.OrderPlaced{OrderID: "O", Lines: lines, Recorded: true})
	if err != nil || len(b) > events.MaxRecordedBytes {
		t.Errorf("%d bytes of %d, %v", len(b), events.MaxRecordedBytes, err)
	}
}
