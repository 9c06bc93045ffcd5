package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daybook-dev/daybook/internal/postgres"
)

// caller speaks HTTP to the system under test. Everything that is not 2xx is an error: nothing here may fail.
type caller struct {
	base string
	http *http.Client
	keys atomic.Int64
}

const clients = 64

func sku(i int) string { return fmt.Sprintf("SKU-%04d", i) }

// any is one of the SKUs.
func (b *bench) any() string { return sku(rand.IntN(b.skus)) } //nolint:gosec // any

func (c *caller) do(ctx context.Context, method, path string, body []byte, into any, headers ...string) (position string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return "", err
	case res.StatusCode >= http.StatusMultipleChoices:
		return "", fmt.Errorf("%s %s: %d: %s", method, path, res.StatusCode, b)
	case into != nil:
		err = json.Unmarshal(b, into)
	}
	return res.Header.Get("Daybook-Position"), err
}

// receive puts units on a shelf, by a receipt that never was before.
func (c *caller) receive(ctx context.Context, sku string, units int) error {
	n := c.keys.Add(1)
	_, err := c.do(ctx, http.MethodPost, "/v1/stock/"+sku+"/receipts", fmt.Appendf(nil, `{"id":"r%d","quantity":%d}`, n, units), nil,
		"Idempotency-Key", fmt.Sprintf("receipt-%d", n))
	return err
}

// startSystem runs every role as one process, with its products and plenty of each.
func (b *bench) startSystem(ctx context.Context) (err error) {
	if b.system != nil {
		return nil
	}
	b.sayf("starting a whole system")
	if b.system, err = b.start(ctx, "system", "all"); err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, b.system.Postgres, postgres.Options{Name: "bench", MaxConns: 1})
	if err != nil {
		return err
	}
	err = b.askPostgres(ctx, pool)
	pool.Close()
	if err != nil {
		return err
	}
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1024
	b.shop = &caller{base: b.system.API, http: &http.Client{Transport: t}}
	b.sayf("adding %d products", b.skus)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var next atomic.Int64
	for range clients {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.skus) && ctx.Err() == nil; i = next.Add(1) {
				name := sku(int(i) - 1)
				_, err := b.shop.do(ctx, http.MethodPost, "/v1/products", fmt.Appendf(nil, `{"sku":%q,"name":"A thing","prices":{"GBP":1250}}`, name), nil,
					"Idempotency-Key", "add-"+name)
				if err == nil {
					err = b.shop.receive(ctx, name, 100_000_000)
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	_, err = b.rest(ctx)
	return err
}

// rest waits until every read model shows what was done last, so that one benchmark does not pay for another, and says how
// long that took.
func (b *bench) rest(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	n := b.shop.keys.Add(1)
	position, err := b.shop.do(ctx, http.MethodPost, "/v1/stock/"+sku(0)+"/receipts", fmt.Appendf(nil, `{"id":"r%d","quantity":1}`, n), nil,
		"Idempotency-Key", fmt.Sprintf("receipt-%d", n))
	for err == nil {
		if _, last := b.shop.do(ctx, http.MethodGet, "/v1/orders?limit=1&min_position="+position, nil, nil); last == nil {
			break
		} else if ctx.Err() != nil {
			err = fmt.Errorf("the read models do not catch up: %w", last)
		}
	}
	return time.Since(began), err
}
