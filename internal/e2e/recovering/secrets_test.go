package recovering_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// Whichever secrets are lost, the refusal names `daybook recover`, and that leads on. Lost passwords cost nothing. Lost keys cost what
// they were for, and only with consent. A recovery that is killed anywhere is begun again.
func TestRecoverLostSecrets(t *testing.T) {
	dir := testenv.DataDir(t)
	p := start(t, dir)
	c := p.Client()
	c.Post(t, 201, "/v1/products", "mug", `{"sku":"MUG","name":"Mug","prices":{"GBP":1000}}`)
	c.Post(t, 201, "/v1/stock/MUG/receipts", "mugs", `{"id":"R1","quantity":100}`)
	c.Post(t, 201, "/v1/orders", "first", body("first"))
	comesTo(t, c, "first", "confirmed")
	p.Stop()

	t.Log("everything but keys is lost")
	loses(t, dir, func(file string) bool { return filepath.Ext(file) != ".key" })
	refuses(t, dir, "does not know this password")
	if out, err := recovers(t, dir); err == nil || !strings.Contains(out, "set the password of the embedded Postgres") {
		t.Fatalf("%v\n%s", err, out)
	}
	refuses(t, dir, "does not know this password")
	if out, err := recovers(t, dir, "--yes"); err != nil || !strings.Contains(out, "There is nothing to do") {
		t.Fatalf("%v\n%s", err, out)
	}
	p = start(t, dir)
	c = p.Client()
	if a := c.Get(t, "/v1/orders/first"); strings.Contains(string(a.Body), "key_missing") {
		t.Errorf("personal data is missing though no key was lost: %s", a.Body)
	}
	if a := c.Post(t, 201, "/v1/orders", "first", body("first")); a.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same request: %s", a.Body)
	}
	p.Stop()

	t.Log("everything is lost")
	loses(t, dir, func(string) bool { return true })
	refuses(t, dir, "does not know this password")
	killed := func(at failpoint.Name) {
		t.Helper()
		t.Setenv("DAYBOOK_FAILPOINT", string(at))
		if out, err := recovers(t, dir, "--yes", "--accept-lost-keys"); err == nil || strings.Contains(out, "daybook:") {
			t.Fatalf("%s: not killed: %v\n%s", at, err, out)
		}
		t.Setenv("DAYBOOK_FAILPOINT", "")
	}
	killed(failpoint.RecoverPasswordDuring)
	refuses(t, dir, "does not know this password")
	killed(failpoint.RecoverPasswordAfter)
	if out, err := recovers(t, dir, "--yes"); err == nil || !strings.Contains(out, "--accept-lost-keys") {
		t.Fatalf("%v\n%s", err, out)
	}
	killed(failpoint.RecoverSecretsAfter)
	refuses(t, dir, "not the key of this installation")
	out, err := recovers(t, dir, "--dry-run")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, key := range []string{"the installation key", "the key-encryption key", "the relay key"} {
		if !strings.Contains(out, key) {
			t.Errorf("nothing is said of %s:\n%s", key, out)
		}
	}
	killed(failpoint.RecoverCommitAfter)
	if out, err := recovers(t, dir, "--yes"); err != nil || !strings.Contains(out, "There is nothing to do") {
		t.Errorf("all was done before it was killed: %v\n%s", err, out)
	}
	p = start(t, dir)
	c = p.Client()
	comesTo(t, c, "first", "confirmed")
	if a := c.Get(t, "/v1/orders/first"); !strings.Contains(string(a.Body), `"personal":"key_missing"`) {
		t.Errorf("personal data under a lost key: %s", a.Body)
	}
	c.Post(t, 422, "/v1/orders", "first", body("first"))
	c.Post(t, 201, "/v1/orders", "second", body("second"))
	comesTo(t, c, "second", "confirmed")
	p.Stop()
}

// loses removes secrets.
func loses(t *testing.T, dir string, lost func(file string) bool) {
	t.Helper()
	dir = filepath.Join(dir, "secrets")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d secrets: %v", len(files), err)
	}
	for _, f := range files {
		if !lost(f.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
}
