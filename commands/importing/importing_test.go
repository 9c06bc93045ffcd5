package importing_test

import (
	"testing"

	"github.com/daybook-dev/daybook/commands/importing"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/es/estest"
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

func TestFoldsEveryEvent(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	estest.FoldsAll[importing.Import](t, c)
}
