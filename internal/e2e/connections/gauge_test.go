package connections_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// commandWithin and queryWithin are what the API promises to answer within, besides what Prefer: wait asks for; slack is what the
	// gateway (2 s) and a busy machine add; what no deadline ends takes until the client gives up, 90 s.
	commandWithin = 15 * time.Second
	queryWithin   = 10 * time.Second
	slack         = 10 * time.Second
)

// call is one request and how it was answered.
type call struct {
	what    string
	at      time.Time
	took    time.Duration
	allowed time.Duration
	status  int
	wrong   string
}

// gauge measures every call against its own deadline.
type gauge struct {
	under http.RoundTripper

	mu    sync.Mutex
	calls []call
}

// RoundTrip counts until the last byte of the answer has come.
func (g *gauge) RoundTrip(r *http.Request) (*http.Response, error) {
	c := call{what: r.Method + " " + r.URL.RequestURI(), at: time.Now(), allowed: queryWithin}
	if r.Method == http.MethodPost {
		c.allowed = commandWithin
		if wait, ok := strings.CutPrefix(r.Header.Get("Prefer"), "wait="); ok {
			seconds, _ := strconv.Atoi(wait)
			c.allowed += time.Duration(seconds) * time.Second
		}
	}
	res, err := g.under.RoundTrip(r)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(body))
	}
	c.took = time.Since(c.at)
	switch {
	case err != nil && r.Context().Err() == nil:
		c.wrong = err.Error()
	case err != nil: // given up by the test: it hung
		c.wrong = "no answer"
	case res.StatusCode < http.StatusInternalServerError:
		c.status = res.StatusCode
	default:
		c.status = res.StatusCode
		clear := res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusGatewayTimeout
		if !clear || res.Header.Get("Retry-After") == "" || res.Header.Get("Content-Type") != "application/problem+json" {
			c.wrong = fmt.Sprintf("%d, Retry-After %q: %s", res.StatusCode, res.Header.Get("Retry-After"), body)
		}
	}
	if c.took > c.allowed+slack {
		c.wrong = fmt.Sprintf("took %s, and may take %s; %s", c.took.Round(time.Millisecond), c.allowed, c.wrong)
	}
	g.mu.Lock()
	g.calls = append(g.calls, c)
	g.mu.Unlock()
	return res, err
}

// during gives the calls that were under way at some time between two moments, the slowest first.
func (g *gauge) during(from, to time.Time) []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []call
	for _, c := range g.calls {
		if c.at.Before(to) && c.at.Add(c.took).After(from) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b call) int { return int(b.took - a.took) })
	return out
}

// tally says how some calls went.
func tally(calls []call) string {
	if len(calls) == 0 {
		return "no calls"
	}
	refused := 0
	for _, c := range calls {
		if c.status >= http.StatusInternalServerError || c.status == 0 {
			refused++
		}
	}
	return fmt.Sprintf("%4d calls, %3d refused, p50 %4d ms, slowest %5d ms", len(calls), refused, calls[len(calls)/2].took.Milliseconds(), calls[0].took.Milliseconds())
}

// report fails the test for each call that was not as it must be.
func (g *gauge) report(t testing.TB) {
	t.Helper()
	n := 0
	for _, c := range g.during(time.Time{}, time.Now()) {
		if c.wrong == "" {
			continue
		}
		if n++; n <= 40 {
			t.Errorf("%s %s: %.400s", c.at.Format("15:04:05.000"), c.what, c.wrong)
		}
	}
	if n > 0 {
		t.Errorf("%d calls were not answered as they must be", n)
	}
}
