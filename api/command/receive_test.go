package command_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/command"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/commands/product"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// receiving serves nothing but receipts of goods.
type receiving struct {
	openapi.StrictServerInterface // whose routes are not asked for

	server *command.Server
}

func (r receiving) ReceiveStock(ctx context.Context, in openapi.ReceiveStockRequestObject) (openapi.ReceiveStockResponseObject, error) {
	return r.server.ReceiveStock(ctx, in)
}

func serve(t testing.TB) http.Handler {
	t.Helper()
	catalog, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	handler := es.NewHandler(store, catalog, time.Now)
	for i := range 100 {
		add := product.Add{SKU: fmt.Sprintf("S%d", i), Name: "A thing", Prices: map[string]int64{"GBP": 1250}}
		if _, err := es.Handle(t.Context(), handler, add, es.Call{}); err != nil {
			t.Fatal(err)
		}
	}
	gate, err := api.NewGate([]byte("a key"))
	if err != nil {
		t.Fatal(err)
	}
	commands := shop.NewCommands(shop.CommandConfig{Handler: handler, Log: store})
	server := command.New(commands)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- commands.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	e := echo.New()
	if err := api.Routes(e, gate, receiving{server: server}, api.Commands); err != nil {
		t.Fatal(err)
	}
	return e
}

func receive(h http.Handler, sku string, n int64) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/stock/"+sku+"/receipts", strings.NewReader(fmt.Sprintf(`{"id":"r%d","quantity":1}`, n)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", fmt.Sprintf("receipt-%d", n))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// An answer is the shelf as it was at its revision, and so is its repeat when the shelf has filled.
func TestReceiptShowsTheShelfAtItsRevision(t *testing.T) {
	h := serve(t)
	for round := range 2 {
		for n := range int64(5) {
			w := receive(h, "S1", n)
			want := fmt.Sprintf(`{"sku":"S1","location":"main","on_hand":%d,"reserved":0,"safety":0,"available":%d,"backordered":0,"revision":%d}`, n+1, n+1, n)
			if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), want) || (w.Header().Get("Idempotent-Replayed") == "true") != (round > 0) {
				t.Errorf("%d, round %d: %d %v %s", n, round, w.Code, w.Header(), w.Body)
			}
		}
	}
}

// BenchmarkReceive is what a command costs between the socket and the store.
func BenchmarkReceive(b *testing.B) {
	h := serve(b)
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if w := receive(h, fmt.Sprintf("S%d", i%100), i); w.Code != http.StatusCreated {
				b.Errorf("%d %s", w.Code, w.Body)
			}
		}
	})
}
