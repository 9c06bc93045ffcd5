package events_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// FuzzDecode reads anything as any event: an error or an event, which reads back as itself.
func FuzzDecode(f *testing.F) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		f.Fatal(err)
	}
	types := []string{}
	for d := range c.Definitions() {
		golden, err := os.ReadFile(filepath.Join("testdata", d.Type+".v1.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(len(types), golden)
		types = append(types, d.Type)
	}
	f.Add(0, []byte(`{"prices":{"GBP":1e400}}`))
	f.Add(1, []byte(`{"sku":"\u0000"}`))
	f.Fuzz(func(t *testing.T, n int, data []byte) {
		typ := types[(n%len(types)+len(types))%len(types)]
		e, err := c.Decode(typ, 1, data)
		if err != nil {
			return
		}
		_, schema, once, err := c.Encode(e)
		if err != nil {
			return // a time no JSON can hold
		}
		again, err := c.Decode(typ, schema, once)
		if err != nil {
			t.Fatalf("%s written as %s cannot be read: %v", typ, once, err)
		}
		if _, _, twice, err := c.Encode(again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s written as %s, then as %s (%v)", typ, once, twice, err)
		}
	})
}
