package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

const (
	// commandWithin and queryWithin are what the API promises to answer within, besides what Prefer: wait asks for; slack is what a
	// busy machine may add.
	commandWithin = 15 * time.Second
	queryWithin   = 10 * time.Second
	slack         = 3 * time.Second
	// endWithin is how long after the last fault healed every saga may take (I6).
	endWithin = 60 * time.Second
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

// bustle is demo-like trade with all that customers do besides buying: somebody comes a dozen times a second, however it goes
// for those who are there, until it is stopped.
type bustle struct {
	shop *market
	stop context.CancelFunc
	all  sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func startBustle(ctx context.Context, s *market) *bustle {
	b := &bustle{shop: s}
	ctx, b.stop = context.WithCancel(ctx)
	b.all.Go(func() {
		next := time.NewTicker(time.Second / 12)
		defer next.Stop()
		for i := 0; ; i++ {
			b.all.Go(func() {
				// What has begun is brought to its answer.
				finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
				defer cancel()
				if err := b.buy(finish, i); err != nil {
					b.mu.Lock()
					b.errs = append(b.errs, err)
					b.mu.Unlock()
				}
			})
			select {
			case <-next.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return b
}

// buy places one order, looks at it, and now and then at something else, or cancels it.
func (b *bustle) buy(ctx context.Context, i int) error {
	s, id := b.shop, fmt.Sprintf("bought-%d", i)
	token, must := "tok_approve", "confirmed"
	switch {
	case i%10 == 4:
		token, must = "tok_decline", "rejected"
	case i%10 == 7:
		token = "tok_slow_900"
	case i%20 == 9:
		token = "tok_silent_approved"
	}
	s.mu.Lock()
	s.orders[id] = must
	s.mu.Unlock()
	var headers []string
	if i%2 == 0 {
		headers = []string{"Prefer", "wait=2"}
	}
	body := testenv.Order(id, token, testenv.Line("PLENTY", 1+i%3), testenv.Line("HOT", 1))
	a, err := s.client.Insist(ctx, "/v1/orders", "place-"+id, body, headers...)
	if err != nil || a.Status != http.StatusCreated {
		return fmt.Errorf("placing %s: %d %s: %w", id, a.Status, a.Body, err)
	}
	looks := []string{"/v1/orders/" + id + "?min_position=" + a.Position(), "/v1/orders?limit=20", "/v1/stock/HOT", "/v1/orders/" + id + "/timeline", "/v1/reports/sales?by=day"}
	for _, path := range []string{looks[0], looks[i%len(looks)]} {
		_, _ = s.client.Do(ctx, http.MethodGet, path, "") // measured, whatever it says
	}
	if i%8 != 3 || must != "confirmed" {
		return nil
	}
	s.mu.Lock()
	s.orders[id] = "cancelled"
	s.mu.Unlock()
	return s.command(ctx, "/v1/orders/"+id+"/cancel", "cancel-"+id, "")
}

func (b *bustle) end(t testing.TB) {
	t.Helper()
	b.stop()
	b.all.Wait()
	if err := errors.Join(b.errs...); err != nil {
		t.Error(err)
	}
}

// woe is a fault of one link.
type woe struct {
	link  *link
	fault fault
}

// woes gives n faults: every link as often as every other, every fault likewise.
func woes(rng *rand.Rand, links []*link, n int) (out []woe) {
	links, kinds := slices.Clone(links), faults()
	for i := range n {
		if i%len(links) == 0 {
			rng.Shuffle(len(links), func(a, b int) { links[a], links[b] = links[b], links[a] })
		}
		if i%len(kinds) == 0 {
			rng.Shuffle(len(kinds), func(a, b int) { kinds[a], kinds[b] = kinds[b], kinds[a] })
		}
		out = append(out, woe{links[i%len(links)], kinds[i%len(kinds)]})
	}
	return out
}

// Slow, cut, half-open and reset connections between every two parts, one after another, under a shop that sells. Nothing hangs
// past its deadline, and afterwards everything is as if nothing had been.
func TestFaultyConnections(t *testing.T) {
	t.Parallel()
	f, links := startLinked(t)
	rounds, each := len(links), 1200*time.Millisecond
	if os.Getenv("DAYBOOK_LONG") != "" {
		rounds, each = 30, 5*time.Second
	}
	seed := rand.Uint64()
	if given, err := strconv.ParseUint(os.Getenv("DAYBOOK_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("DAYBOOK_SEED=%d, %d faults of %s each", seed, rounds, each)
	rng := rand.New(rand.NewPCG(seed, 1))

	s := newMarket(strings.TrimPrefix(f.api, "http://"))
	measured := &gauge{under: &http.Transport{MaxIdleConnsPerHost: 64}}
	s.client.HTTP = &http.Client{Transport: measured, Timeout: 90 * time.Second}
	if err := errors.Join(s.stocked(t.Context(), "PLENTY", 1_000_000), s.stocked(t.Context(), "HOT", 1_000_000)); err != nil {
		t.Fatal(err)
	}
	b := startBustle(t.Context(), s)
	began := time.Now()
	time.Sleep(each) // of trade without a fault, to compare with
	all := woes(rng, links, rounds)
	times := []time.Time{began, time.Now()}
	for _, w := range all {
		heal := w.link.suffer(t, w.fault)
		time.Sleep(each)
		heal()
		time.Sleep(300 * time.Millisecond)
		times = append(times, time.Now())
	}
	healed := time.Now()
	b.end(t)
	s.ended(t, endWithin-time.Since(healed))
	t.Logf("%d orders; all had ended %s after the last fault had healed", len(s.orders), time.Since(healed).Round(time.Millisecond))
	t.Logf("%-32s %-9s  %s", "nothing", "", tally(measured.during(times[0], times[1])))
	for i, w := range all {
		t.Logf("%-32s %-9s  %s", w.link, w.fault, tally(measured.during(times[i+1], times[i+2])))
	}
	t.Logf("%-32s %-9s  %s", "all", "", tally(measured.during(began, time.Now())))
	measured.report(t)
	s.stillTrue(t)
	r := examine(t, "--data-dir", f.dir)
	if !r.AtRest || r.Checked["kafka records"] == 0 || r.Checked["charges"] == 0 || r.Checked["orders at rest"] != len(s.orders) {
		t.Errorf("the doctor has not seen all: at rest %t %v, %v", r.AtRest, r.Moving, r.Checked)
	}
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
