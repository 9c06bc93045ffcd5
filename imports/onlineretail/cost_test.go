package onlineretail

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// counting counts the records that are read.
type counting struct {
	es.Store
	read atomic.Int64
}

func (c *counting) Read(ctx context.Context, s es.StreamID, from uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		for r, err := range c.Store.Read(ctx, s, from) {
			c.read.Add(1)
			if !yield(r, err) {
				return
			}
		}
	}
}

// A command of an import costs the same however much was recorded before it: what the import itself has recorded is never read back,
// though it takes more than is kept otherwise. Run again, it reads what is recorded once.
func TestImportReadsNothingAgain(t *testing.T) {
	odds := rand.New(rand.NewPCG(3, 5)) //nolint:gosec // a test
	var file strings.Builder
	file.WriteString(Header + "\n")
	for i := range 100 {
		at := time.Date(2011, 1, 1, 9, i, 0, 0, time.UTC).Format("2006-01-02 15:04:05")
		for range 20 {
			fmt.Fprintf(&file, "%d,%d,Pear,2,%s,2.00,%d,France\n", 500000+i, 10000+odds.IntN(50), at, 1+i%90)
		}
	}
	w := world{t, memory.New()}
	run := func() (Result, int64) {
		h, err := Read(strings.NewReader(file.String()))
		if err != nil {
			t.Fatal(err)
		}
		store := &counting{Store: w.store}
		r, err := (&Import{Handler: es.NewHandler(store, w.handler().Catalog(), time.Now), History: h, Hold: 512 << 10}).Run(t.Context())
		if err != nil || len(h.Rejects) != 0 {
			t.Fatal(err, h.Rejects)
		}
		return r, store.read.Load()
	}
	first, read := run()
	if read != 0 {
		t.Errorf("%d commands made %d events be read back", first.Recorded, read)
	}
	if second, read := run(); second.Recorded != 0 || read > int64(w.end()) {
		t.Errorf("again, %d events were read of %d, and %d commands recorded", read, w.end(), second.Recorded)
	}
}
