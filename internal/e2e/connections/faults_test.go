package connections_test

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/daybook-dev/daybook/internal/testenv/market"
)

// bustle is demo-like trade with all that customers do besides buying: somebody comes a dozen times a second, however it goes
// for those who are there, until it is stopped.
type bustle struct {
	shop *market.Market
	stop context.CancelFunc
	all  sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func startBustle(ctx context.Context, s *market.Market) *bustle {
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
	s.Must(id, must)
	var headers []string
	if i%2 == 0 {
		headers = []string{"Prefer", "wait=2"}
	}
	body := testenv.Order(id, token, testenv.Line("PLENTY", 1+i%3), testenv.Line("HOT", 1))
	a, err := s.Client.Insist(ctx, "/v1/orders", "place-"+id, body, headers...)
	if err != nil || a.Status != http.StatusCreated {
		return fmt.Errorf("placing %s: %d %s: %w", id, a.Status, a.Body, err)
	}
	looks := []string{"/v1/orders/" + id + "?min_position=" + a.Position(), "/v1/orders?limit=20", "/v1/stock/HOT", "/v1/orders/" + id + "/timeline", "/v1/reports/sales?by=day"}
	for _, path := range []string{looks[0], looks[i%len(looks)]} {
		_, _ = s.Client.Do(ctx, http.MethodGet, path, "") // measured, whatever it says
	}
	if i%8 != 3 || must != "confirmed" {
		return nil
	}
	s.Must(id, "cancelled")
	return s.Command(ctx, "/v1/orders/"+id+"/cancel", "cancel-"+id, "")
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

	s := market.New(strings.TrimPrefix(f.API, "http://"))
	measured := &gauge{under: &http.Transport{MaxIdleConnsPerHost: 64}}
	s.Client.HTTP = &http.Client{Transport: measured, Timeout: 90 * time.Second}
	if err := errors.Join(s.Stocked(t.Context(), "PLENTY", 1_000_000), s.Stocked(t.Context(), "HOT", 1_000_000)); err != nil {
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
	s.Ended(t, market.EndWithin)
	t.Logf("%d orders; all had ended %s after the last fault had healed", s.Orders(), time.Since(healed).Round(time.Millisecond))
	t.Logf("%-32s %-9s  %s", "nothing", "", tally(measured.during(times[0], times[1])))
	for i, w := range all {
		t.Logf("%-32s %-9s  %s", w.link, w.fault, tally(measured.during(times[i+1], times[i+2])))
	}
	t.Logf("%-32s %-9s  %s", "all", "", tally(measured.during(began, time.Now())))
	measured.report(t)
	s.StillTrue(t)
	r := market.Examine(t, "--data-dir", f.Dir)
	if !r.AtRest || r.Checked["kafka records"] == 0 || r.Checked["charges"] == 0 || r.Checked["orders at rest"] != s.Orders() {
		t.Errorf("the doctor has not seen all: at rest %t %v, %v", r.AtRest, r.Moving, r.Checked)
	}
}
