package app

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/api"
)

// Each operation of the document is implemented by the server of its side, and not by the other one: a process may serve one side only.
func TestOperationsAreOnTheServerOfTheirSide(t *testing.T) {
	doc, err := api.LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	has := func(server reflect.Type, operation string) bool {
		_, ok := server.MethodByName(strings.ToUpper(operation[:1]) + operation[1:])
		return ok
	}
	n := 0
	for _, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			n++
			reads := method == http.MethodGet
			if has(reflect.TypeFor[*commands](), o.OperationID) == reads || has(reflect.TypeFor[*queries](), o.OperationID) != reads {
				t.Errorf("%s %s is not on its side", method, o.OperationID)
			}
		}
	}
	if n < 18 {
		t.Errorf("the document has %d operations", n)
	}
}
