package e2e_test

import (
	"net/http"
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// What the start pages of the API and of the admin listener link to is there.
func TestLinksOfTheStartPagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	p := testenv.Start(t, testenv.Options{Args: testenv.AnyPorts()})
	for _, base := range []string{p.API, p.Admin} {
		c := &testenv.Client{Base: base, HTTP: http.DefaultClient}
		var index struct{ Links []struct{ Name, Href string } }
		c.Get(t, "/").Into(t, &index)
		if len(index.Links) < 2 {
			t.Errorf("%s links to %v", base, index.Links)
		}
		for _, l := range index.Links {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.Href, nil)
			if err == nil && !req.URL.IsAbs() {
				req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, base+l.Href, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Errorf("%s: %v", l.Name, err)
				continue
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s answers %d", l.Name, l.Href, res.StatusCode)
			}
		}
	}
}
