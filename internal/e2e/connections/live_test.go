package connections_test

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// liveWithin is how long after an outage of Postgres every engine may take until it has events from Kafka again.
const liveWithin = 2 * time.Minute

// Postgres has no connection left, under a shop that sells. Afterwards live delivery goes on: every engine has new events from Kafka,
// and reads none of them from the event store because it is behind and nothing comes.
func TestLiveDeliveryGoesOnAfterExhaustedConnections(t *testing.T) {
	t.Parallel()
	p := testenv.Start(t, testenv.Options{Args: testenv.AnyPorts()})
	var at app.Addresses
	p.Addresses(&at)
	c := p.Client()
	const skus = 24
	for i := range skus {
		sku := "MUG-" + strconv.Itoa(i)
		c.Post(t, http.StatusCreated, "/v1/products", sku, `{"sku":"`+sku+`","name":"Mug","prices":{"GBP":100}}`)
		c.Post(t, http.StatusCreated, "/v1/stock/"+sku+"/receipts", "r-"+sku, `{"id":"R1","quantity":100000}`)
	}
	selling, stop := context.WithCancel(t.Context())
	var buyers sync.WaitGroup
	buyers.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for i := 0; selling.Err() == nil; i++ {
			<-tick.C
			buyers.Go(func() {
				n := strconv.Itoa(i)
				body := testenv.Order("order-"+n, "tok_approve", testenv.Line("MUG-"+strconv.Itoa(i%skus), 1))
				_, _ = c.Do(selling, http.MethodPost, "/v1/orders", body, "Idempotency-Key", "o"+n)
			})
		}
	})
	defer buyers.Wait()
	defer stop()
	engines := []string{app.RoleProjections, app.RoleSagas, app.RoleReactors}
	grown := func(since map[string]float64, by float64) (map[string]float64, bool) {
		now := fed(t, p)
		for _, e := range engines {
			if now[e+" kafka"] < since[e+" kafka"]+by {
				return now, false
			}
		}
		return now, true
	}
	await := func(what string, since map[string]float64, by float64) map[string]float64 {
		for began := time.Now(); ; {
			now, ok := grown(since, by)
			if ok {
				t.Logf("%s: %v after %s", what, now, time.Since(began).Round(10*time.Millisecond))
				return now
			}
			if time.Since(began) > liveWithin {
				t.Fatalf("%s: since %v only %v", what, since, now)
			}
		}
	}
	await("before", nil, 20)
	heal := exhaust(t, at.Postgres)
	for red := map[string]bool{}; len(red) < len(engines); {
		for name, why := range poll(t, p) {
			if why != "" && slices.Contains(engines, name) {
				red[name] = true
			}
		}
	}
	during := fed(t, p)
	heal()
	after := await("after", during, 20)
	later := await("later", after, 50)
	for _, e := range engines {
		if later[e+" heals"] > after[e+" heals"] {
			t.Errorf("%s read the event store %v times although all came from Kafka", e, later[e+" heals"]-after[e+" heals"])
		}
	}
}

// fed gives how many events each consumer has had, by where they were read.
func fed(t *testing.T, p *testenv.Process) map[string]float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, `daybook_feed_events_total{consumer="`); ok {
			consumer, rest, _ := strings.Cut(rest, `",source="`)
			source, value, _ := strings.Cut(rest, `"} `)
			out[consumer+" "+source], _ = strconv.ParseFloat(value, 64)
		}
		if rest, ok := strings.CutPrefix(line, `daybook_feed_heals_total{consumer="`); ok {
			consumer, value, _ := strings.Cut(rest, `"} `)
			out[consumer+" heals"], _ = strconv.ParseFloat(value, 64)
		}
	}
	return out
}
