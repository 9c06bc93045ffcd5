package checks

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/imports/onlineretail"
	"github.com/daybook-dev/daybook/internal/doctor/doctortest"
	"github.com/daybook-dev/daybook/kit/es"
)

// imported is a file of some orders, of which every tenth is given back in part.
func imported(n int) string {
	var file strings.Builder
	file.WriteString(onlineretail.Header + "\n")
	for i := range n {
		at := time.Date(2011, 1, 1, 9, i, 0, 0, time.UTC).Format("2006-01-02 15:04:05")
		fmt.Fprintf(&file, "%d,X,Apple,2,%s,1.00,1.0,France\n%d,Y,Pear,1,%s,2.00,1.0,France\n", 500000+i, at, 500000+i, at)
		if i%10 == 9 {
			fmt.Fprintf(&file, "C%d,X,Apple,-1,%s,1.00,1.0,France\n", 500000+i, at)
		}
	}
	return file.String()
}

// take imports the file until part of its commands are answered.
func take(t *testing.T, w *doctortest.World, file string, part float64) (*onlineretail.History, error) {
	t.Helper()
	h, err := onlineretail.Read(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	im := &onlineretail.Import{Handler: w.Handler, History: h, Progress: func(done, of int) {
		if float64(done) > part*float64(of) {
			cancel()
		}
	}}
	_, err = im.Run(ctx)
	return h, err
}

// An import that was broken off is said, and what it lacks is no finding; after its end nothing is excused.
func TestBrokenOffImportIsNoFinding(t *testing.T) {
	file := imported(200)
	for part := 0.03; part < 1; part += 0.07 {
		w := doctortest.New(t)
		if _, err := take(t, w, file, part); err == nil {
			t.Fatalf("at %.2f the import was not broken off", part)
		}
		if r := examine(t, w, w.Store); !r.Healthy || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "import-online-retail-") {
			t.Errorf("at %.2f: %v, %v", part, r.Notes, r.Findings)
		}
		if _, err := take(t, w, file, 2); err != nil {
			t.Fatal(err)
		}
		if r := examine(t, w, w.Store); !r.Healthy || len(r.Notes) != 0 || r.Checked["imports"] != 1 {
			t.Errorf("after the end: %v, %v", r.Notes, r.Findings)
		}
	}
}

// What an import ended without is recorded by its next run: broken off, that is excused as well, and after its end nothing is.
func TestBrokenOffRunOfAnImportWithRejectsIsNoFinding(t *testing.T) {
	file := imported(200)
	for part := 0.52; part < 1; part += 0.04 {
		w := doctortest.New(t)
		whole := w.Handler
		w.Handler = es.NewHandler(narrow{w.Store}, w.Catalog, time.Now)
		if h, err := take(t, w, file, 2); err != nil || len(h.Orders) != 100 {
			t.Fatalf("%d orders, %v", len(h.Orders), err)
		}
		if r := examine(t, w, w.Store); !r.Healthy || len(r.Notes) != 0 {
			t.Errorf("after a run with rejects: %v, %v", r.Notes, r.Findings)
		}
		w.Handler = whole
		if _, err := take(t, w, file, part); err == nil {
			t.Fatalf("at %.2f the import was not broken off", part)
		}
		if r := examine(t, w, w.Store); !r.Healthy || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "of 200 orders") {
			t.Errorf("at %.2f: %v, %v", part, r.Notes, r.Findings)
		}
		for range 2 {
			if h, err := take(t, w, file, 2); err != nil || len(h.Orders) != 200 {
				t.Fatalf("%d orders, %v", len(h.Orders), err)
			}
			if r := examine(t, w, w.Store); !r.Healthy || len(r.Notes) != 0 {
				t.Errorf("after the end: %v, %v", r.Notes, r.Findings)
			}
		}
	}
}

// narrow takes nothing of the later orders.
type narrow struct{ es.Store }

func (n narrow) Append(ctx context.Context, s es.StreamID, at es.Expected, events []es.Proposed) (uint64, error) {
	if s.Category == "order" && s.Key >= "500100" {
		return 0, es.ErrTooLarge
	}
	return n.Store.Append(ctx, s, at, events)
}

// A file that has what an earlier one had, and more, may be broken off at returns of orders that the earlier one recorded.
func TestBrokenOffImportOfALongerFileIsNoFinding(t *testing.T) {
	longer := imported(200)
	var file strings.Builder
	for line := range strings.Lines(longer) {
		if !strings.HasPrefix(line, "C") {
			file.WriteString(line)
		}
	}
	for part := 0.03; part < 1; part += 0.07 {
		w := doctortest.New(t)
		if _, err := take(t, w, file.String(), 2); err != nil {
			t.Fatal(err)
		}
		if _, err := take(t, w, longer, part); err == nil {
			t.Fatalf("at %.2f the import was not broken off", part)
		}
		if r := examine(t, w, w.Store); !r.Healthy || len(r.Notes) != 1 {
			t.Errorf("at %.2f: %v, %v", part, r.Notes, r.Findings)
		}
	}
}

// Faults of imported orders are found all the same, while it runs and after it.
func TestFaultsOfImportsAreFound(t *testing.T) {
	file := imported(200)
	for _, part := range []float64{0.5, 2} {
		w := doctortest.New(t)
		if _, err := take(t, w, file, part); (err == nil) != (part > 1) {
			t.Fatal(err)
		}
		if _, err := es.Handle(t.Context(), w.Handler, payment.Record{OrderID: "500001", RecordID: "again", Amount: events.Money{Amount: 1, Currency: "GBP"}, Method: "x"}, es.Call{}); err != nil {
			t.Fatal(err)
		}
		finds(t, examine(t, w, w.Store), "I4", "payment-500001", "expected 4.00 GBP, found 4.01 GBP")
	}
	w := doctortest.New(t)
	ended := events.ImportEnded{ImportID: "online-retail-" + digest(t, file)}
	if _, err := take(t, w, file, 0.5); err == nil {
		t.Fatal("the import was not broken off")
	}
	doctortest.Record[anyImport](w, ended.ImportID, es.Call{}, ended)
	if r := examine(t, w, w.Store); r.Healthy {
		t.Error("an import that says that it ended is excused")
	}
}

func digest(t *testing.T, file string) string {
	t.Helper()
	h, err := onlineretail.Read(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return h.Digest[:12]
}

type anyImport struct{}

func (*anyImport) Category() string { return "import" }
func (*anyImport) Evolve(es.Event)  {}
