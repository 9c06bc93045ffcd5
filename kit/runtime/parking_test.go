package runtime_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/kit/runtime"
)

// parksAndSkips has another client record what the domain does not know about inn "a", of which one event is recorded, and acts as its operator does
// then: from a red /readyz to a green one.
func parksAndSkips(t *testing.T, store string, view query.View, get func(path string) (*http.Response, string)) {
	t.Helper()
	eventually := func(what string, fact func() bool) {
		t.Helper()
		for until := time.Now().Add(time.Minute); !fact(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("never: %s", what)
			}
		}
	}
	parked := func() (all runtime.ParkedRows) {
		t.Helper()
		res, body := get("/admin/v1/parked?projection=inn")
		if err := json.Unmarshal([]byte(body), &all); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s, %v", res.Status, body, err)
		}
		return all
	}
	at, _ := get("/livez")
	post := func(path, body string) (int, string) {
		t.Helper()
		u := *at.Request.URL
		u.Path = "/admin/v1/parked/" + path
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.String(), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(answer)
	}
	if all := parked(); len(all.Items) != 0 || !all.Complete {
		t.Fatalf("parked before anything failed: %+v", all)
	}

	client, err := esclient.Open(t.Context(), esclient.Config{ConnectionString: store})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // nothing is under way
	inn := es.StreamID{Category: "inn", Key: "a"}
	for n, typ := range []string{"inn.haunted", "inn.opened"} {
		p := es.Proposed{ID: es.DerivedID(es.UUID{}, typ), Type: typ, Data: []byte(`{}`), Meta: []byte(`{"schema":1}`)}
		if _, err := client.Append(t.Context(), inn, es.Expected(n), []es.Proposed{p}); err != nil {
			t.Fatal(err)
		}
	}
	eventually("the inn is parked, and one event waits", func() bool { all := parked(); return len(all.Items) == 1 && all.Items[0].Waiting == 1 })
	one := parked().Items[0]
	if one.Projection != "inn" || !one.Serves || one.Key != "a" || !one.Whole || one.Stream != "inn-a" || one.Type != "inn.haunted" || one.Error == "" {
		t.Errorf("parked: %+v", one)
	}
	eventually("not ready, and why", func() bool {
		res, body := get("/readyz")
		return res.StatusCode == http.StatusServiceUnavailable && strings.Contains(body, "daybook projections parked")
	})
	if _, _, err := query.ByKey[row](t.Context(), view, query.Ask{}, "inn", "a"); !errors.Is(err, query.ErrParked) {
		t.Errorf("a query of the parked row: %v", err)
	}
	if found, _, err := query.ByKey[row](t.Context(), view, query.Ask{}, "inn", "b"); found != nil || err != nil {
		t.Errorf("a query of another row: %v, %v", found, err)
	}
	if _, a, err := query.All[row](t.Context(), view, query.Ask{}, "select open from {inn}"); err != nil || a.Parked != 1 {
		t.Errorf("a list says that %d rows are parked, %v", a.Parked, err)
	}

	for _, tt := range []struct {
		path, body string
		status     int
	}{
		{one.ID + "/skip", "", 400}, {one.ID + "/skip", `{"reason":" "}`, 400}, {one.ID + "/skip", `{"why":"x"}`, 400}, {one.ID + "/retry", `[`, 400},
		{"0123456789ab/retry", "", 404}, {"0123456789ab/skip", `{"reason":"x"}`, 404}, {one.ID + "/retry", "", 200}, {one.ID + "/retry", `{}`, 200},
	} {
		if status, body := post(tt.path, tt.body); status != tt.status {
			t.Errorf("%s %s: %d %s", tt.path, tt.body, status, body)
		}
	}
	if got := parked(); len(got.Items) != 1 || got.Items[0].ID != one.ID {
		t.Errorf("after retries that fail: %+v", got)
	}
	var first, again runtime.Operation
	for _, op := range []*runtime.Operation{&first, &again} { // the second may come when nothing is parked any more
		status, body := post(one.ID+"/skip", `{"reason":"a client of another shop"}`)
		if status == http.StatusNotFound && first.Position != "" {
			again = first
		} else if err := json.Unmarshal([]byte(body), op); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s, %v", status, body, err)
		}
	}
	if first != again || first.ID != one.ID {
		t.Errorf("the same skip is recorded at %+v and at %+v", first, again)
	}
	eventually("nothing is parked", func() bool { return len(parked().Items) == 0 })
	eventually("ready", func() bool { res, _ := get("/readyz"); return res.StatusCode == http.StatusOK })
	if found, _, err := query.ByKey[row](t.Context(), view, query.Ask{}, "inn", "a"); err != nil || found == nil || !found.Open {
		t.Errorf("the row after the skip: %v, %v", found, err)
	}
	if res, _ := get("/admin/v1/parked/" + one.ID + "/skip"); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "POST" {
		t.Errorf("GET of an action: %s, Allow %q", res.Status, res.Header.Get("Allow"))
	}
	if res, _ := get("/admin/v1/parked?projection=none"); res.StatusCode != http.StatusNotFound {
		t.Errorf("of a read model that is not there: %s", res.Status)
	}
}
