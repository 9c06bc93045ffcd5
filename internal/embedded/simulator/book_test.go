package simulator

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// What is in memory for each charge is where it is in the ledger, and not the charge. The test is alone: it measures the heap.
func TestTheBookKeepsLittleOfEachCharge(t *testing.T) {
	const n, most = 50_000, 200
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // far below
	}
	before := live()
	b := newBook(nil)
	for i := range n {
		id := fmt.Sprint("ch_", i)
		b.apply(change{Charge{ID: id}, &Operation{Key: "k" + id, Answer: Answer{ID: id, EffectID: "e" + id}}}, ref{line: int64(i)})
	}
	if each := (live() - before) / n; each > most {
		t.Errorf("%d bytes for each charge, more than %d", each, most)
	}
	if len(b.latest) != n {
		t.Errorf("%d charges, want %d", len(b.latest), n)
	}
}

// What cannot be read back is an error, and not an answer that there is nothing.
func TestALedgerThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	charged := post(t, s, "charges", "a", asked("tok_approve", 100, "o", "a"), ample)
	if charged.Result != Approved {
		t.Fatalf("%+v", charged)
	}
	if err := os.Truncate(filepath.Join(dir, ledgerName), 3); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"operations?effect=a": 500, "charges": 500, "operations?effect=b": 200} {
		res, err := http.Get(s.URL() + "/simulator/v1/" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	if got := post(t, s, "charges", "a", asked("tok_approve", 100, "o", "a"), ample); got.Status != 500 {
		t.Errorf("a repeat: %+v", got)
	}
}
