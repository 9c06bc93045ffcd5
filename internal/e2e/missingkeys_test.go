package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/kit/doctor"
)

// database is a connection to the Postgres that a process runs.
func database(t *testing.T, p *testenv.Process) *pgx.Conn {
	t.Helper()
	var at struct {
		Postgres string `json:"postgres"`
	}
	p.Addresses(&at)
	conn, err := pgx.Connect(t.Context(), at.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// withheld fails the test unless fields of an object are null for a reason.
func withheld(t *testing.T, what string, o map[string]any, why string, of map[string]any, fields ...string) {
	t.Helper()
	if o["personal"] != why {
		t.Errorf("%s: personal is %v, want %s", what, o["personal"], why)
	}
	for _, f := range fields {
		if v, shown := of[f]; !shown || v != nil {
			t.Errorf("%s: %s is %v (shown %t), want null", what, f, v, shown)
		}
	}
}

// Where keys of personal data are missing, whatever holds such data is shown without it and says why; a payment whose token cannot
// be opened ends; the doctor lists whose keys are missing; and what is written from then on can be read.
func TestMissingKeys(t *testing.T) {
	t.Parallel()
	dir := testenv.DataDir(t)
	s := openShop(t, testenv.Options{DataDir: dir, Roles: "eventstore,kafka,postgres,simulator,relay,projections,sagas,command-api,query-api,gateway", Args: testenv.AnyPorts()})
	s.stock(t, "MUG", 100)
	register := `{"id":"C-1","name":"Ann","email":"ann@example.com","phone":"1"}`
	s.c.Post(t, 201, "/v1/customers", "register", register)
	known := strings.Replace(testenv.Order("known", "tok_approve", testenv.Line("MUG", 1)), `{"email":"bo@example.com"}`, `{"id":"C-1"}`, 1)
	s.c.Post(t, 201, "/v1/orders", "known", known)
	guest := testenv.Order("guest", "tok_approve", testenv.Line("MUG", 1))
	s.c.Post(t, 201, "/v1/orders", "guest", guest)
	s.c.Post(t, 201, "/v1/orders", "regretted", testenv.Order("regretted", "tok_approve", testenv.Line("MUG", 1)))
	s.c.Post(t, 202, "/v1/orders/regretted/cancel", "regret", `{"reason":"my wife Eve did not like it"}`)
	db := database(t, s.Process)
	for _, subject := range []string{"customer-C-1", "guest-guest", "guest-regretted"} {
		if tag, err := db.Exec(t.Context(), `delete from daybook.personal_key where subject = $1`, subject); err != nil || tag.RowsAffected() != 1 {
			t.Fatal(subject, tag, err)
		}
	}
	s.Stop()

	s = openShop(t, testenv.Options{DataDir: dir, Args: testenv.AnyPorts()})
	for id, want := range map[string]string{"known": "rejected", "guest": "rejected", "regretted": "cancelled"} {
		s.comesTo(t, id, want)
	}
	for _, id := range []string{"known", "guest"} {
		o := s.c.Get(t, "/v1/orders/"+id).Object(t)
		withheld(t, id, o, "key_missing", o["ship_to"].(map[string]any), "line1", "city", "postal_code") //nolint:forcetypeassert // the document says so
		if _, given := o["ship_to"].(map[string]any)["line2"]; given {                                   //nolint:forcetypeassert // likewise
			t.Errorf("%s: a field that was never given is shown", id)
		}
	}
	o := s.c.Get(t, "/v1/orders/guest").Object(t)
	withheld(t, "guest", o, "key_missing", o["customer"].(map[string]any), "email") //nolint:forcetypeassert // likewise
	c := s.c.Get(t, "/v1/customers/C-1").Object(t)
	withheld(t, "customer", c, "key_missing", c, "name", "email", "phone")
	again := s.c.Post(t, 201, "/v1/orders", "guest", guest).Object(t)
	withheld(t, "answer of the repeat", again, "key_missing", again["customer"].(map[string]any), "email") //nolint:forcetypeassert // likewise
	s.reasonWithheld(t, "regretted")
	for _, path := range []string{"/v1/orders", "/v1/customers/C-1/orders", "/v1/orders/guest?version=0", "/v1/orders/guest/timeline"} {
		s.c.Get(t, path)
	}
	d := s.c.Get(t, "/v1/orders/guest/diff?from=0").Object(t)
	if changes := fmt.Sprint(d["changes"]); d["personal"] != "key_missing" || strings.Contains(changes, "/customer") || strings.Contains(changes, "/ship_to") || !strings.Contains(changes, "rejected") {
		t.Errorf("what has changed since it was placed: %v", d)
	}
	next := strings.Replace(known, `"known"`, `"next"`, 1)
	shown := s.c.Post(t, 201, "/v1/orders", "next", next).Object(t)
	if _, hidden := shown["personal"]; hidden || shown["ship_to"].(map[string]any)["city"] != "London" { //nolint:forcetypeassert // likewise
		t.Errorf("an order placed after keys went missing: %v", shown)
	}
	s.comesTo(t, "next", "confirmed")
	s.Stop()

	out, errs, err := testenv.Run(t, "doctor", "--json", "--data-dir", dir)
	var r doctor.Report
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
		t.Fatalf("%v %v %s", jsonErr, err, errs)
	}
	if want := []string{"customer-C-1", "guest-guest", "guest-regretted"}; err == nil || !slices.Equal(r.MissingKeys, want) || len(r.Findings) != len(want) {
		t.Errorf("the doctor ends with %v and lists %v of %v", err, r.MissingKeys, want)
		for _, f := range r.Findings {
			t.Log(f)
		}
	}
}

// comesTo waits for an order's status.
func (s *shop) comesTo(t *testing.T, id, status string) {
	t.Helper()
	const within = time.Minute
	var o placed
	for end := time.Now().Add(within); o.Status != status; {
		if a := s.do(t, http.MethodGet, "/v1/orders/"+id, ""); a.Status == http.StatusOK { // else its read model is not there yet
			a.Into(t, &o)
		}
		if time.Now().After(end) {
			t.Fatalf("order %s is %s after %s, want %s", id, o.Status, within, status)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *shop) reasonWithheld(t *testing.T, order string) {
	t.Helper()
	found := false
	for _, i := range items(t, s.c, "/v1/orders/"+order+"/timeline?") {
		var e map[string]any
		if err := json.Unmarshal(i, &e); err != nil {
			t.Fatal(err)
		}
		if e["type"] == "order.cancel_requested" {
			found = true
			withheld(t, "timeline", e, "key_missing", e, "reason")
		}
	}
	if !found {
		t.Error("the timeline lacks the cancellation")
	}
	if a := s.do(t, http.MethodHead, "/v1/orders/"+order+"/events", ""); a.Status != http.StatusOK {
		t.Errorf("events of %s: %d", order, a.Status)
	}
}
