package api

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/api/openapi"
)

// tomorrow is openapi.yaml with operations of methods that it does not have today.
func tomorrow(t *testing.T, change func(delete, put *openapi3.Operation, item *openapi3.PathItem)) *openapi3.T {
	t.Helper()
	doc, err := LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	old := doc.Paths.Value("/v1/products/{sku}")
	item := &openapi3.PathItem{Parameters: append(slices.Clone(old.Parameters), old.Patch.Parameters...)}
	remove := &openapi3.Operation{OperationID: "removeThing", Responses: old.Patch.Responses}
	put := &openapi3.Operation{OperationID: "putThing", Responses: old.Patch.Responses, RequestBody: old.Patch.RequestBody}
	item.Delete, item.Put = remove, put
	if change != nil {
		change(remove, put, item)
	}
	doc.Paths.Set("/v1/things/{sku}", item)
	return doc
}

// reaching counts, beside each stage, how often it was reached, and ends with a stage that looks at what an operation is given.
func reaching(all []stage, reached map[string]int, operation openapi.StrictHandlerFunc) []stage {
	all = slices.Clone(all)
	for i, s := range all {
		count := func() { reached[s.name]++ }
		switch {
		case s.front != nil:
			all[i].front = func(next http.Handler) http.Handler {
				inner := s.front(next)
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { count(); inner.ServeHTTP(w, r) })
			}
		case s.route != nil:
			all[i].route = func(op *operationOf, next echo.HandlerFunc) echo.HandlerFunc {
				inner := s.route(op, next)
				return func(c echo.Context) error { count(); return inner(c) }
			}
		default:
			all[i].decoded = func(next openapi.StrictHandlerFunc, id string) openapi.StrictHandlerFunc {
				inner := s.decoded(next, id)
				return func(c echo.Context, request any) (any, error) { count(); return inner(c, request) }
			}
		}
	}
	return append(all, stage{name: "operation", decoded: func(openapi.StrictHandlerFunc, string) openapi.StrictHandlerFunc { return operation }})
}

type operationOf = operation

// generated is what generated code does with a request that needs no decoding.
func generated(all []stage) echo.HandlerFunc {
	h := func(echo.Context, any) (any, error) { return nil, nil } //nolint:nilnil // replaced
	for _, m := range decodedBy(all) {
		h = m(h, "")
	}
	return func(c echo.Context) error {
		_, err := h(c, struct{}{})
		return err
	}
}

// Every operation of the document, of whatever method, passes every stage on its side and is not served on the other; so do those that
// the document gets tomorrow.
func TestEveryOperationPassesEveryStage(t *testing.T) {
	gate, err := newGate(tomorrow(t, nil), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	pass := func(h http.Handler) http.Handler { return h }
	methods := map[string]bool{}
	for _, op := range gate.operations {
		reached := map[string]int{}
		all := reaching(stages(gate, Front{pass, pass, pass}), reached, func(c echo.Context, _ any) (any, error) {
			reached["operation"]++
			r := RequestOf(c.Request().Context())
			_, bounded := c.Request().Context().Deadline()
			if r.Operation != op.id || r.Actor.Kind == "" || r.TraceID == "" || bounded == op.streams() {
				t.Errorf("%s is given %+v, with a deadline: %v", op.id, r, bounded)
			}
			if command := op.side == Commands; command != (r.IdempotencyKey == "k") || command != (r.Digest != nil) {
				t.Errorf("%s is given the key %q and the digest %x", op.id, r.IdempotencyKey, r.Digest)
			}
			return nil, nil //nolint:nilnil // no answer
		})
		serve := func(sides ...Side) http.Handler {
			e := NewEcho(slog.New(slog.DiscardHandler))
			r := newRouter(e, gate, all, sides)
			openapi.RegisterHandlers(r, openapi.NewStrictHandler(nil, decodedBy(all)))
			r.DELETE("/v1/things/:sku", generated(all))
			r.PUT("/v1/things/:sku", generated(all))
			if err := r.err(); err != nil {
				t.Fatal(err)
			}
			h, err := before(all, e)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		ask := func(h http.Handler, query string) int {
			target := regexp.MustCompile(`:\w+`).ReplaceAllString(strings.NewReplacer(":type", "order.placed", ":version", "1").Replace(op.route), "x")
			query += map[string]string{"reportSales": "&by=month", "diffOrder": "&from=0"}[op.id]
			var body string
			if op.body != nil {
				body = write(op.body, -1, "")
			}
			req := httptest.NewRequest(op.method, target+"?"+query, strings.NewReader(body))
			if op.side == Commands {
				req.Header.Set("Idempotency-Key", "k")
			}
			if body != "" {
				req.Header.Set("Content-Type", "application/json")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			return w.Code
		}
		here, there := op.side, Commands
		if here == Commands {
			there = Queries
		}
		if code := ask(serve(here), ""); code != http.StatusOK {
			t.Errorf("%s: %d", op.id, code)
		}
		for _, s := range all {
			if reached[s.name] != 1 {
				t.Errorf("%s reached the stage %s %d times", op.id, s.name, reached[s.name])
			}
		}
		if code := ask(serve(here), "colour=red"); code != http.StatusBadRequest || reached["operation"] != 1 {
			t.Errorf("%s with an unknown parameter: %d", op.id, code)
		}
		if code := ask(serve(there), ""); code != http.StatusNotFound && code != http.StatusMethodNotAllowed || reached["operation"] != 1 {
			t.Errorf("%s on the other side: %d", op.id, code)
		}
		methods[op.method] = true
	}
	if got := slices.Sorted(maps.Keys(methods)); !slices.Equal(got, []string{"DELETE", "GET", "PATCH", "POST", "PUT"}) {
		t.Errorf("operations of %q were tried", got)
	}
}

// What generated code registers, by whatever method, is an operation of the document, or the server does not start.
func TestUnknownRoutesAreRefused(t *testing.T) {
	gate, err := newGate(tomorrow(t, nil), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	for method := range reflect.TypeFor[openapi.EchoRouter]().Methods() {
		name := method.Name
		e := NewEcho(slog.New(slog.DiscardHandler))
		r := newRouter(e, gate, stages(gate, Front{}), []Side{Commands, Queries})
		handler := echo.HandlerFunc(func(echo.Context) error { return errors.New("an operation was reached") })
		reflect.ValueOf(r).MethodByName(name).Call([]reflect.Value{reflect.ValueOf("/v1/unknown"), reflect.ValueOf(handler)})
		if err := r.err(); err == nil || !strings.Contains(err.Error(), name+" /v1/unknown") {
			t.Errorf("%s: %v", name, err)
		}
		if len(e.Routes()) != 0 {
			t.Errorf("%s: %v", name, e.Routes()[0])
		}
	}
	if err := Routes(NewEcho(slog.New(slog.DiscardHandler)), gate, nil, Commands); err == nil || !strings.Contains(err.Error(), "go generate") {
		t.Errorf("generated code that is older than the document: %v", err)
	}
	r := newRouter(NewEcho(slog.New(slog.DiscardHandler)), gate, nil, nil)
	r.DELETE("/v1/things/:sku", nil, func(next echo.HandlerFunc) echo.HandlerFunc { return next })
	if r.err() == nil {
		t.Error("an operation has middleware of its own")
	}
	if _, err := (Front{}).Handler(http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "origin") && !strings.Contains(err.Error(), "metrics") {
		t.Errorf("a listener without its stages: %v", err)
	}
}

// A document with an operation that could get past a stage is refused.
func TestDocumentsThatAreNotSafeAreRefused(t *testing.T) {
	for says, change := range map[string]func(remove, put *openapi3.Operation, item *openapi3.PathItem){
		"removeThing changes something and does not require an Idempotency-Key": func(remove, _ *openapi3.Operation, item *openapi3.PathItem) {
			item.Parameters, item.Put = item.Parameters[:1], nil
			remove.Parameters = nil
		},
		"removeThing: no operation has the method TRACE": func(remove, _ *openapi3.Operation, item *openapi3.PathItem) {
			item.Trace, item.Delete, item.Put = remove, nil, nil
		},
	} {
		if _, err := newGate(tomorrow(t, change), []byte("key")); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// What breaks in an operation is logged as ours, on both sides: its deadline is over by then, but its caller has not gone.
func TestInternalErrorsAreLogged(t *testing.T) {
	gate, err := NewGate([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range [][2]string{{http.MethodGet, "/v1/orders/:id"}, {http.MethodPost, "/v1/orders/:id/cancel"}} {
		var log bytes.Buffer
		e := NewEcho(slog.New(slog.NewTextHandler(&log, nil)))
		if err := gate.Route(e, target[0], target[1], func(echo.Context) error { return errors.New("a disk broke") }); err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(target[0], strings.Replace(target[1], ":id", "o1", 1), nil)
		if target[0] == http.MethodPost {
			req.Header.Set("Idempotency-Key", "k")
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, req)
		if w.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "a disk broke") {
			t.Errorf("%s: %d, logged %q", target, w.Code, log.String())
		}
	}
}
