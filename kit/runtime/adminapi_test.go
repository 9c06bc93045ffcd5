package runtime_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/daybook-dev/daybook/kit/runtime"
)

// adminAPI asks the admin API of the inns, of which one was opened at a position, and holds its answers to the document that it serves.
func adminAPI(t *testing.T, get func(path string) (*http.Response, string), opened uint64) {
	t.Helper()
	_, text := get("/openapi.yaml")
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err == nil {
		err = doc.Validate(t.Context())
	}
	if err != nil || doc.Paths.Len() != 5 { // as many as are asked below and in parksAndSkips
		t.Fatal(doc.Paths.InMatchingOrder(), err)
	}
	ask := func(status int, path, operation string, into any) {
		t.Helper()
		res, body := get(path)
		op := doc.Paths.Value(operation).Get
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: res.Request, Route: &routers.Route{Spec: doc, Path: operation, Method: http.MethodGet, Operation: op}},
			Status:                 res.StatusCode, Header: res.Header, Options: &openapi3filter.Options{MultiError: true},
		}
		input.SetBodyBytes([]byte(body))
		if err := openapi3filter.ValidateResponse(t.Context(), input); err != nil {
			t.Errorf("%s is not as its document says: %v", path, err)
		}
		if err := json.Unmarshal([]byte(body), into); err != nil || res.StatusCode != status {
			t.Errorf("%s: %s %s, %v", path, res.Status, body, err)
		}
	}
	const list, why = "/admin/v1/projections", "/admin/v1/projections/{name}/why"
	var all runtime.Projections
	for until := time.Now().Add(time.Minute); ; {
		ask(http.StatusOK, list, list, &all)
		if len(all.Items) != 1 || all.Items[0].Name != "inn" || all.Items[0].Version != 1 || len(all.Items[0].Partitions) != 12 || !all.Complete {
			t.Fatalf("%+v", all)
		}
		if all.Items[0].State == "current" && all.Items[0].Events == 0 && all.Items[0].Seconds == 0 || time.Now().After(until) {
			break
		}
	}
	if all.Items[0].State != "current" {
		t.Errorf("never at the head of the log: %+v", all)
	}
	for _, metric := range []string{"inn_projection_lag_events", "inn_projection_lag_seconds"} {
		if _, said := get("/metrics"); !strings.Contains(said, metric+`{partition="11",projection="inn"}`) {
			t.Errorf("there is no %s", metric)
		}
	}

	var one runtime.Explanation
	ask(http.StatusOK, list+"/inn/why?key=a", why, &one)
	if len(one.Items) != 1 || one.Next != nil || one.Items[0].Type != "inn.opened" || one.Items[0].Stream != "inn-a" || one.Items[0].Command == nil ||
		one.Items[0].Command.Name != "inn.open" || len(one.Items[0].Changes) != 1 || one.Items[0].Changes[0].Pointer != "/open" || string(one.Items[0].Changes[0].After) != "true" {
		t.Errorf("opened at %d: %+v", opened, one)
	}
	var problem struct{ Code, Detail string }
	for _, tt := range []struct {
		path   string
		status int
		code   string
	}{
		{"/inn/why?key=none", 404, "not_found"}, {"/inn/why?key=a&suffix=x", 404, "not_found"}, {"/none/why?key=a", 404, "not_found"}, {"/inn/why", 400, "malformed_parameter"},
		{"/inn/why?key=a&key=b", 400, "malformed_parameter"}, {"/inn/why?key=a&limit=201", 400, "malformed_parameter"}, {"/inn/why?key=a&after=-1", 400, "malformed_parameter"},
		{"/inn/why?key=a%00", 400, "malformed_parameter"}, {"/inn/why?key=a&colour=red", 400, "malformed_parameter"},
	} {
		ask(tt.status, list+tt.path, why, &problem)
		if problem.Code != tt.code || problem.Detail == "" {
			t.Errorf("%s: %+v", tt.path, problem)
		}
	}
	ask(http.StatusBadRequest, list+"?limit=1", list, &problem)
	const parked = "/admin/v1/parked"
	ask(http.StatusOK, parked, parked, &runtime.ParkedRows{})
	ask(http.StatusBadRequest, parked+"?limit=1", parked, &problem)
}
