package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api"
	ids "github.com/daybook-dev/daybook/commands/order"
)

// A header counts where the document has it, and nowhere else: neither as a fault nor for what it asks.
func TestHeadersCountWhereTheDocumentHasThem(t *testing.T) {
	doc, err := api.LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{
		"addProduct": `{"sku":"MUG","name":"Mug","prices":{"GBP":1}}`, "changeProduct": `{"name":"Mug"}`, "receiveStock": `{"id":"r","quantity":1}`,
		"adjustStock": `{"change":1,"reason":"found"}`, "registerCustomer": `{"id":"c1"}`, "placeOrder": order, "cancelOrder": `{}`,
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented := func(name string) bool {
				return append(slices.Clone(item.Parameters), op.Parameters...).GetByInAndName("header", name) != nil
			}
			if method != http.MethodGet && bodies[op.OperationID] == "" {
				t.Fatalf("no body for %s", op.OperationID)
			}
			gate, err := api.NewGate([]byte("installation"))
			if err != nil {
				t.Fatal(err)
			}
			e := api.NewEcho(slog.New(slog.DiscardHandler))
			var came *api.Request
			if err := gate.Route(e, method, strings.NewReplacer("{", ":", "}", "").Replace(path), func(c echo.Context) error {
				came = new(api.RequestOf(c.Request().Context()))
				return c.NoContent(http.StatusNoContent)
			}); err != nil {
				t.Fatal(err)
			}
			ask := func(name, value string) int {
				came = nil
				target := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(strings.NewReplacer("{type}", "order.placed", "{version}", "1").Replace(path), "x")
				target += map[string]string{"reportSales": "?by=month", "diffOrder": "?from=0"}[op.OperationID]
				req := httptest.NewRequest(method, target, strings.NewReader(bodies[op.OperationID]))
				if method != http.MethodGet {
					req.Header.Set("Content-Type", "application/json")
					req.Header.Set("Idempotency-Key", "k")
				}
				req.Header.Set(name, value)
				w := httptest.NewRecorder()
				e.ServeHTTP(w, req)
				return w.Code
			}
			if code := ask("If-Match", `"3-17"`); came == nil || (came.IfMatch != nil) != documented("If-Match") {
				t.Errorf("%s with If-Match: %d %+v", op.OperationID, code, came)
			}
			if code := ask("If-Match", "no tag"); (code == http.StatusBadRequest) != documented("If-Match") {
				t.Errorf("%s with an If-Match that is none: %d", op.OperationID, code)
			}
			if code := ask("Prefer", "wait=5"); came == nil || came.Waits != documented("Prefer") {
				t.Errorf("%s with Prefer: %d %+v", op.OperationID, code, came)
			}
		}
	}
}

// A Range is answered with the whole, which is said.
func TestRangesAreNotServed(t *testing.T) {
	e, _ := serve(t)
	for _, target := range []string{"/openapi.yaml", "/", "/v1/nothing"} {
		req := httptest.NewRequest(http.MethodGet, target, nil)
		req.Header.Set("Range", "bytes=0-9")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, req)
		if w.Code == http.StatusPartialContent || w.Header().Get("Accept-Ranges") != "none" || w.Body.Len() < 20 {
			t.Errorf("%s: %d %v, %d bytes", target, w.Code, w.Header(), w.Body.Len())
		}
	}
}

// What is kept of a header is searched for card numbers, and a name of a parameter that is one is not repeated.
func TestCardNumbersInHeadersAndNames(t *testing.T) {
	e, r := serve(t)
	for _, key := range []string{"4111111111111111", `"4111 1111 1111 1111"`, "order-378282246310005", "４１１１１１１１１１１１１１１１", `"4111-1111-1111-1111 again"`} {
		if w := post(e, order, "Idempotency-Key", key); w.Code != 400 || !strings.Contains(w.Body.String(), "card_number") || strings.Contains(w.Body.String(), "1111") {
			t.Errorf("%s: %d %s", key, w.Code, w.Body)
		}
	}
	for _, name := range []string{"4111111111111111", "x_4111%201111+1111-1111"} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/orders?"+name+"=1", nil))
		if w.Code != 400 || strings.Contains(w.Body.String(), "1111") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if len(r.requests) != 0 {
		t.Errorf("%d requests came through", len(r.requests))
	}
	for _, key := range []string{"1790000000000", "20261130-0001", "0b8f3a52-4111-4111-8111-111111111111", "4006381333931"} {
		if w := post(e, order, "Idempotency-Key", key); w.Code != 201 {
			t.Errorf("%s: %d %s", key, w.Code, w.Body)
		}
	}
}

// What the server chooses depends on the key of the installation: who knows a request but not the key cannot compute its order's id.
func TestAnotherInstallationKeyGivesOtherIDs(t *testing.T) {
	id := func(installation string) (string, []byte) {
		t.Helper()
		gate, err := api.NewGate([]byte(installation))
		if err != nil {
			t.Fatal(err)
		}
		e, r := api.NewEcho(slog.New(slog.DiscardHandler)), &reached{}
		if err := api.Routes(e, gate, r, api.Commands, api.Queries); err != nil {
			t.Fatal(err)
		}
		if w := post(e, order); w.Code != http.StatusCreated {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		one := r.requests[0]
		return ids.IDFrom(one.Choose("order", one.CommandID("orders"))), one.Digest
	}
	first, digest := id("one")
	again, same := id("one")
	other, another := id("two")
	if first != again || !slices.Equal(digest, same) {
		t.Errorf("the same request has the ids %s and %s", first, again)
	}
	if first == other || slices.Equal(digest, another) {
		t.Errorf("both installations give the id %s", first)
	}
}
