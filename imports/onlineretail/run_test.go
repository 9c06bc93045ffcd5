package onlineretail

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/eventstore/memory"
)

const small = Header + `
500001,A,Apple,5,2011-01-01 10:00:00,1.00,1.0,France
500001,P,Pear,2,2011-01-01 10:00:00,2.00,1.0,France
500001,POST,POSTAGE,1,2011-01-01 10:00:00,3.50,1.0,France
500002,A,Apple,4,2011-01-02 10:00:00,1.20,,Germany
C500010,A,Apple,-3,2011-01-05 10:00:00,1.00,1.0,France
`

type world struct {
	t     *testing.T
	store *memory.Store
}

func (w world) handler() *es.Handler {
	w.t.Helper()
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		w.t.Fatal(err)
	}
	return es.NewHandler(w.store, c, time.Now)
}

func (w world) run(file string) (*History, Result) {
	w.t.Helper()
	h, err := Read(strings.NewReader(file))
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := (&Import{Handler: w.handler(), History: h}).Run(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return h, r
}

func (w world) end() uint64 {
	w.t.Helper()
	end, err := w.store.End(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return end
}

func TestRunRecordsOnce(t *testing.T) {
	w := world{t, memory.New()}
	_, first := w.run(small)
	after := w.end()
	if first.Recorded == 0 || first.Repeated != 0 {
		t.Fatalf("first run %+v", first)
	}
	o, err := es.Load[order.Order](t.Context(), w.handler(), "500001", nil)
	if err != nil || o.State.Status != order.Closed || o.State.Lines[0].Returned != 3 || o.State.Placed.Total != 5*100+2*200+350 {
		t.Errorf("order %+v %v", o.State, err)
	}
	if !o.At.Equal(time.Date(2011, 1, 5, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("its business time is %s", o.At)
	}
	a, err := es.Load[stock.Stock](t.Context(), w.handler(), "A", nil)
	if err != nil || a.State.OnHand != 3 || a.State.Reserved != 0 {
		t.Errorf("stock of A %+v %v", a.State, err)
	}
	p, err := es.Load[payment.Payment](t.Context(), w.handler(), "500001", nil)
	if err != nil || p.State.Captured.Amount != 1250 || p.State.Refunded.Amount != 300 {
		t.Errorf("payment %+v %v", p.State, err)
	}
	_, second := w.run(small)
	if second.Recorded != 0 || second.Repeated != first.Recorded || w.end() != after {
		t.Errorf("second run %+v, log from %d to %d", second, after, w.end())
	}
}

// An order that stands with other content is left alone, with its stock and its money.
func TestOrderDiffers(t *testing.T) {
	w := world{t, memory.New()}
	w.run(small)
	before := w.end()
	other := strings.Replace(small, "500001,A,Apple,5", "500001,A,Apple,6", 1)
	h, _ := w.run(other)
	if len(h.Rejects) != 3 || h.Rejects[0].Reason != OrderDiffers || h.Rejects[0].Line != 2 || h.Rejects[2].Line != 6 || len(h.Orders) != 1 {
		t.Errorf("rejects %+v", h.Rejects)
	}
	for r, err := range w.store.ReadAll(t.Context(), before) {
		if err != nil || r.Type != "stock.received" { // another file, another receipt
			t.Errorf("recorded %s %s %v", r.Stream, r.Type, err)
		}
	}
}

// A run that stopped anywhere is finished by the next one, to the same end.
func TestStoppedRunGoesOn(t *testing.T) {
	whole := world{t, memory.New()}
	whole.run(small)
	for stop := range 12 {
		w := world{t, memory.New()}
		h, err := Read(strings.NewReader(small))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		im := &Import{Handler: w.handler(), History: h, Streams: 1, Progress: func(done, _ int) {
			if done > stop {
				cancel()
			}
		}}
		if _, err := im.Run(ctx); err == nil && stop < 8 {
			t.Fatalf("stopping after %d did not stop", stop)
		}
		cancel()
		w.run(small)
		if w.end() != whole.end() {
			t.Errorf("stopped after %d: %d events, not %d", stop, w.end(), whole.end())
		}
	}
}
