package importing_test

import (
	"testing"

	"github.com/daybook-dev/daybook/commands/importing"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/estest"
)

var given = estest.Given[importing.Import]

func TestImportBeginsAndEndsOnce(t *testing.T) {
	began := events.ImportBegan{ImportID: "i", Source: "shop", Digest: "d", Orders: 3, Window: 64}
	ended := events.ImportEnded{ImportID: "i", Orders: 3}
	given(t).When(importing.Begin{Import: began}).Then(began)
	given(t).When(importing.Begin{Import: events.ImportBegan{ImportID: "i"}}).ThenRejected(importing.Invalid)
	given(t).When(importing.End{Import: ended}).ThenRejected(importing.NotBegun)
	given(t, began).When(importing.Begin{Import: began}).ThenNothing()
	given(t, began).When(importing.End{Import: ended}).Then(ended)
	given(t, began, ended).When(importing.Begin{Import: began}).ThenNothing()
	given(t, began, ended).When(importing.End{Import: ended}).ThenNothing()
}

// What an import ended without may be recorded by its next run, which begins it again.
func TestImportThatLacksSomethingBeginsAgain(t *testing.T) {
	began := events.ImportBegan{ImportID: "i", Source: "shop", Digest: "d", Orders: 3, Returns: 2, Window: 64}
	whole := events.ImportEnded{ImportID: "i", Orders: 3, Returns: 2}
	begin, end := importing.Begin{Run: "2", Import: began}, importing.End{Run: "2", Import: whole}
	for _, lacks := range []events.ImportEnded{{ImportID: "i", Orders: 2, Returns: 2, Rejected: 1}, {ImportID: "i", Orders: 3, Returns: 1, Rejected: 1}} {
		given(t, began, lacks).When(begin).Then(began)
		given(t, began, lacks, began).When(begin).ThenNothing()
		given(t, began, lacks, began).When(end).Then(whole)
		given(t, began, lacks, began, whole).When(begin).ThenNothing()
	}
}

func TestFoldsEveryEvent(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	estest.FoldsAll[importing.Import](t, c)
}
