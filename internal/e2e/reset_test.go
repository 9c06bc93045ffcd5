package e2e

import (
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// The commands that the relay's and the projections' refusals name work on a stopped system, and the next start publishes
// and posts the whole log again.
func TestResets(t *testing.T) {
	t.Parallel()
	p := testenv.Start(t, testenv.Options{})
	c := p.Client()
	c.Post(t, 201, "/v1/products", "k1", `{"sku":"A","name":"Apple","prices":{"GBP":100}}`)
	if _, errs, err := testenv.Run(t, "relay", "reset", "--data-dir", p.DataDir); err == nil || !strings.Contains(errs, "relay") {
		t.Errorf("reset while a relay is active: %v %s", err, errs)
	}
	if _, errs, err := testenv.Run(t, "projections", "reset", "--data-dir", p.DataDir); err == nil || !strings.Contains(errs, "stop it first") {
		t.Errorf("reset while projections run: %v %s", err, errs)
	}
	p.Stop()
	for _, what := range []string{"relay", "projections"} {
		if out, errs, err := testenv.Run(t, what, "reset", "--data-dir", p.DataDir); err != nil {
			t.Fatalf("%v %s %s", err, out, errs)
		}
	}
	p = testenv.Start(t, testenv.Options{DataDir: p.DataDir})
	c = p.Client()
	a := c.Post(t, 201, "/v1/products", "k2", `{"sku":"B","name":"Pear","prices":{"GBP":100}}`)
	c.Get(t, "/v1/products/B?min_position="+a.Position())
	c.Get(t, "/v1/products/A?min_position="+a.Position())
}
