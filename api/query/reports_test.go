package query

import (
	"encoding/json"
	"testing"

	"github.com/oapi-codegen/runtime/types"
)

// The first day there is bounds a report; no day does not.
func TestFirstDayIsNotAbsent(t *testing.T) {
	var day types.Date
	if err := json.Unmarshal([]byte(`"0001-01-01"`), &day); err != nil {
		t.Fatal(err)
	}
	if dateOf(nil) != nil || dateOf(&day) == nil {
		t.Errorf("%v, %v", dateOf(nil), dateOf(&day))
	}
}
