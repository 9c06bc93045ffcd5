package recovering_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/kit/doctor"
)

// installation is a shop with what its three servers were at three moments: after each, two orders more had been confirmed.
type installation struct {
	at [3]string // data directories
}

// ordersUntil are those that were confirmed at a moment.
func ordersUntil(moment int) (ids []string) {
	for m := range moment + 1 {
		ids = append(ids, fmt.Sprintf("order-%d-a", m), fmt.Sprintf("order-%d-b", m))
	}
	return ids
}

func body(id string) string { return testenv.Order(id, "tok_approve", testenv.Line("MUG", 1)) }

// trading runs a shop, and keeps its data directory as it was at each moment.
func trading(t *testing.T) *installation {
	t.Helper()
	dir := testenv.DataDir(t)
	i := &installation{}
	for moment := range i.at {
		p := start(t, dir)
		c := p.Client()
		if moment == 0 {
			c.Post(t, 201, "/v1/products", "mug", `{"sku":"MUG","name":"Mug","prices":{"GBP":1000}}`)
			c.Post(t, 201, "/v1/stock/MUG/receipts", "mugs", `{"id":"R1","quantity":100}`)
		}
		for _, id := range ordersUntil(moment)[2*moment:] {
			c.Post(t, 201, "/v1/orders", id, body(id))
			comesTo(t, c, id, "confirmed")
		}
		p.Stop()
		i.at[moment] = testenv.DataDir(t)
		copyInto(t, dir, i.at[moment])
	}
	return i
}

func start(t *testing.T, dir string) *testenv.Process {
	t.Helper()
	return testenv.Start(t, testenv.Options{DataDir: dir, Args: testenv.AnyPorts()})
}

func copyInto(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", from+"/.", to).CombinedOutput(); err != nil { //nolint:gosec // our own
		t.Fatalf("%v: %s", err, out)
	}
}

// compose is a data directory with each server as it was at some moment; -1: lost. Secrets and the provider are the newest.
func (i *installation) compose(t *testing.T, eventstore, postgres, kafka int) string {
	t.Helper()
	dir := testenv.DataDir(t)
	copyInto(t, i.at[2], dir)
	for server, moment := range map[string]int{"eventstore": eventstore, "postgres": postgres, "kafka": kafka} {
		if moment < 0 {
			replace(t, dir, server, "")
		} else {
			replace(t, dir, server, filepath.Join(i.at[moment], server))
		}
	}
	return dir
}

// replace puts another data directory in a server's place; "": none.
func replace(t *testing.T, dir, server, by string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, server)); err != nil {
		t.Fatal(err)
	}
	if by != "" {
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", by, filepath.Join(dir, server)).CombinedOutput(); err != nil { //nolint:gosec // our own
			t.Fatalf("%v: %s", err, out)
		}
	}
}

func comesTo(t *testing.T, c *testenv.Client, id, status string) {
	t.Helper()
	const within = time.Minute
	var o struct{ Status string }
	for end := time.Now().Add(within); o.Status != status; {
		if a, err := c.Do(t.Context(), http.MethodGet, "/v1/orders/"+id, ""); err == nil && a.Status == http.StatusOK {
			a.Into(t, &o)
		}
		if time.Now().After(end) {
			t.Fatalf("order %s is %q after %s, want %s", id, o.Status, within, status)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// refuses fails the test unless serve ends with an error that names `daybook recover` and all of what is said.
func refuses(t *testing.T, dir string, said ...string) {
	t.Helper()
	_, errs, err := testenv.Run(t, append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, testenv.AnyPorts()...)...)
	for _, want := range append(said, "run `daybook recover`") {
		if err == nil || !strings.Contains(errs, want) {
			t.Fatalf("serve ends with %v and does not say %q:\n%s", err, want, errs)
		}
	}
}

// recovers runs the command as far as its flags say.
func recovers(t *testing.T, dir string, flags ...string) (out string, err error) {
	t.Helper()
	out, errs, err := testenv.Run(t, append([]string{"recover", "--data-dir", dir}, flags...)...)
	return out + errs, err
}

// whole fails the test unless the system starts, shows the orders that were kept, takes those that were lost again under their keys,
// has charged each once, gives no number twice, and satisfies the doctor but for keys that are missing of some orders.
func whole(t *testing.T, dir string, kept []string, keyless ...string) {
	t.Helper()
	p := start(t, dir)
	c := p.Client()
	for _, id := range kept {
		comesTo(t, c, id, "confirmed")
	}
	numbers := map[string]string{}
	for _, id := range ordersUntil(2) {
		var o struct{ Number string }
		a := c.Post(t, 201, "/v1/orders", id, body(id))
		if a.Into(t, &o); numbers[o.Number] != "" {
			t.Errorf("orders %s and %s have the number %s", id, numbers[o.Number], o.Number)
		}
		numbers[o.Number] = id
		if replayed := a.Header.Get("Idempotent-Replayed") == "true"; replayed != slices.Contains(kept, id) {
			t.Errorf("order %s: replayed %t", id, replayed)
		}
	}
	for _, id := range ordersUntil(2) {
		comesTo(t, c, id, "confirmed")
	}
	var at struct {
		Provider string `json:"payment_provider"`
	}
	p.Addresses(&at)
	for _, id := range ordersUntil(2) {
		var ledger struct{ Charges []struct{ Open int64 } }
		a, err := (&testenv.Client{Base: at.Provider, HTTP: http.DefaultClient}).Do(t.Context(), http.MethodGet, "/simulator/v1/charges?order="+id, "")
		if err != nil {
			t.Fatal(err)
		}
		if a.Into(t, &ledger); len(ledger.Charges) != 1 {
			t.Errorf("order %s was charged %d times: %s", id, len(ledger.Charges), a.Body)
		}
	}
	p.Stop()
	out, errs, err := testenv.Run(t, "doctor", "--json", "--data-dir", dir)
	var r doctor.Report
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
		t.Fatalf("%v %v %s", jsonErr, err, errs)
	}
	subjects := make([]string, len(keyless))
	for i, id := range keyless {
		subjects[i] = "guest-" + id
	}
	if !slices.Equal(r.MissingKeys, subjects) {
		t.Errorf("keys are missing of %v, want %v", r.MissingKeys, subjects)
	}
	for _, f := range r.Findings {
		if f.Invariant != "I9" {
			t.Errorf("doctor: %s", f)
		}
	}
}
