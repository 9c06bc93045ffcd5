package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// diffs: what changed in an order between two moments, by versions, times and both, and back.
func (s *shop) diffs(t *testing.T) {
	const path = "/v1/orders/diffed/diff"
	s.bought(t, "diffed")
	between := s.now(t)
	a := s.c.Post(t, 200, "/v1/orders/diffed/cancel", "diffed", `{"reason":"changed my mind"}`, "Prefer", "wait=30")
	later := s.now(t)
	at := "&min_position=" + a.Position()
	type moment struct {
		Revision int64
		AsOf     *time.Time `json:"as_of"`
	}
	type answer struct {
		ID       string
		From, To moment
		Changes  []struct {
			Pointer       string
			Before, After *json.RawMessage
		}
		KnownAt *time.Time `json:"known_at"`
	}
	ask := func(query string) (d answer, changes map[string]string) {
		t.Helper()
		s.reached(t, path+"?"+query+at).Into(t, &d)
		changes = map[string]string{}
		text := func(raw *json.RawMessage) string {
			if raw == nil {
				return ""
			}
			return string(*raw)
		}
		for _, c := range d.Changes {
			changes[c.Pointer] = text(c.Before) + ">" + text(c.After)
		}
		if d.ID != "diffed" || len(changes) != len(d.Changes) {
			t.Errorf("%s: %+v", query, d)
		}
		return d, changes
	}
	confirmed := map[string]string{"/status": `"placed">"confirmed"`}
	cancelled := map[string]string{"/status": `"confirmed">"cancelled"`, "/payment/status": `"authorised">"voided"`, "/lines/0/open": "1>0", "/lines/0/cancelled": "0>1"}
	for _, tt := range []struct {
		query string
		some  map[string]string
		times bool
	}{
		{"from=0&to=1", confirmed, false}, {"from=" + between, cancelled, true}, {"from=" + between + "&to=" + later, cancelled, true}, {"from=1&to=" + later, cancelled, true},
		{"from=" + between + "&to=" + later + "&known_at=" + later, cancelled, true},
		{"from=" + later + "&to=" + between, map[string]string{"/status": `"cancelled">"confirmed"`, "/lines/0/open": "0>1"}, true},
	} {
		d, changes := ask(tt.query)
		for pointer, want := range tt.some {
			if changes[pointer] != want {
				t.Errorf("%s: %s is %q, want %q", tt.query, pointer, changes[pointer], want)
			}
		}
		for _, of := range []string{"/position", "/revision", "/as_of", "/known_at", "/id", "/total"} {
			if changes[of] != "" {
				t.Errorf("%s: %s %s", tt.query, of, changes[of])
			}
		}
		if (d.KnownAt != nil) != tt.times || (d.From.AsOf != nil || d.To.AsOf != nil) != tt.times {
			t.Errorf("%s: %+v", tt.query, d)
		}
	}
	for _, query := range []string{"from=0&to=0", "from=" + between + "&to=" + between, "from=" + between + "&to=" + later + "&known_at=" + between} {
		if d, changes := ask(query); len(changes) != 0 {
			t.Errorf("%s: %+v", query, d)
		}
	}
	if d, _ := ask("from=0&to=1"); d.From.Revision != 0 || d.To.Revision != 1 {
		t.Errorf("%+v", d)
	}
	// Both moments as one query shows them each are what the changes lead from and to.
	d, changes := ask("from=" + between + "&to=" + later)
	for version, value := range map[string]string{between: "confirmed", later: "cancelled"} {
		if got := s.reached(t, "/v1/orders/diffed?as_of="+version+at).Object(t); got["status"] != value || !strings.Contains(changes["/status"], value) {
			t.Errorf("as of %s %v, %+v", version, got["status"], d)
		}
	}

	for query, field := range map[string]string{"from=9": "from", "from=0&to=9": "to", "from=2020-01-01T00:00:00Z": "from", "from=0&to=2020-01-01T00:00:00Z": "to"} {
		if p := s.refused(t, 404, "not_found_at", "GET", path+"?"+query, ""); len(p.Errors) != 1 || p.Errors[0].Pointer != field {
			t.Errorf("%s: %+v", query, p)
		}
	}
	s.refused(t, 404, "order_not_found", "GET", "/v1/orders/none/diff?from=0", "")
	s.refused(t, 404, "not_found_at", "GET", "/v1/orders/none/diff?from=0&to=1", "")
	ahead := url.QueryEscape(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	for query, code := range map[string]string{
		"": "malformed_parameter", "to=1": "malformed_parameter", "from=-1": "malformed_parameter", "from=x": "malformed_parameter", "from=1.0": "malformed_parameter", "from=": "malformed_parameter",
		"from=99999999999999999999": "malformed_parameter", "from=2026-13-01T00:00:00Z": "malformed_parameter", "from=0&to=now": "malformed_parameter",
		"from=0&known_at=" + later: "malformed_parameter", "from=" + between + "&to=0&known_at=" + later: "malformed_parameter", "from=0&from=1": "malformed_parameter",
		"from=0&as_of=" + later: "unknown_parameter", "from=" + ahead: "bad_time", "from=0&to=" + ahead: "bad_time", "from=" + between + "&known_at=" + ahead: "bad_time",
	} {
		s.refused(t, 400, code, "GET", path+"?"+query, "")
	}
	s.refused(t, 503, "not_yet", "GET", path+"?from=0&min_position=999999999", "")
}

// operators: the command line says how far each read model is, and what made a row.
func (s *shop) operators(t *testing.T) {
	s.quiet(t)
	run := func(args ...string) string {
		t.Helper()
		out, said, err := testenv.Run(t, append(args, "--server", s.Admin)...)
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, said)
		}
		return out
	}
	type model struct {
		Name, State string
		Events      int
		Partitions  []struct{ Partition, Events int }
	}
	var all struct{ Items []model }
	current := func() bool { // each read model, to the head of the log
		all.Items = nil
		if err := json.Unmarshal([]byte(run("status")), &all); err != nil || len(all.Items) != 8 {
			t.Fatalf("%+v, %v", all, err)
		}
		return !slices.ContainsFunc(all.Items, func(m model) bool { return m.State != "current" || m.Events != 0 || len(m.Partitions) != 12 })
	}
	for until := time.Now().Add(time.Minute); !current(); {
		if time.Now().After(until) {
			t.Fatalf("behind in a quiet shop: %+v", all)
		}
	}
	table := strings.Fields(run("status", "-o", "table"))
	for _, m := range all.Items {
		if !slices.Contains(table, m.Name) {
			t.Errorf("%s is not in %s", m.Name, table)
		}
	}
	var why struct {
		Items []struct {
			Type, Stream string
			Actor        struct{ Kind string }
			Command      struct{ Name string }
			Changes      []struct{ Pointer string }
		}
	}
	if err := json.Unmarshal([]byte(run("projections", "why", "order_details", "known-0", "-o", "json")), &why); err != nil || len(why.Items) != 4 {
		t.Fatalf("%+v, %v", why, err)
	}
	first, last := why.Items[0], why.Items[len(why.Items)-1]
	if first.Type != "order.placed" || first.Command.Name != "order.place" || first.Actor.Kind != "user" || len(first.Changes) < 10 ||
		last.Type != "order.confirmed" || last.Actor.Kind != "saga" || fmt.Sprint(last.Changes) != "[{/status}]" {
		t.Errorf("first %+v, last %+v", first, last)
	}
	text := run("projections", "why", "order_details", "known-0", "-o", "table")
	if !strings.Contains(text, "order.placed  order-known-0@0") || !strings.Contains(text, `/status: "placed" → "confirmed"`) || strings.Contains(text, "Ada Example") {
		t.Errorf("%s", text)
	}
	if _, said, err := testenv.Run(t, "projections", "why", "order_details", "no-such-order", "--server", s.Admin); err == nil || !strings.Contains(said, "there is no row no-such-order") {
		t.Errorf("%v %s", err, said)
	}
}
