package app

import (
	"strconv"
	"testing"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/kit/es"
)

// Every event that this program writes and relays has a schema that the API serves, in each of its versions.
func TestEveryEventHasASchema(t *testing.T) {
	t.Parallel()
	catalog, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	for d := range catalog.Definitions() {
		if !(es.Record{Type: d.Type}).Relayed() {
			continue
		}
		for version := 1; version <= d.Version; version++ {
			if _, ok := api.EventSchema(d.Type, strconv.Itoa(version)); !ok {
				t.Errorf("%s version %d is in no document of the topic", d.Type, version)
			}
		}
	}
}
