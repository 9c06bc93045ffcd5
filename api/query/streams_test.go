package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// sweepEvery is how often the shop looks at a partition for what was not notified.
const sweepEvery = time.Second

// counted is rows of which there are none, and how often they were asked for.
type counted struct {
	reads atomic.Int64
	fail  atomic.Bool

	mu       sync.Mutex
	concerns []func(int) bool
	wakes    []chan struct{}
}

func (c *counted) View(...projection.Projection) (query.View, error) { return c, nil }

func (c *counted) Read(context.Context, query.Ask, func(context.Context, query.Snapshot) error) (query.Answer, error) {
	c.reads.Add(1)
	if c.fail.Load() {
		return query.Answer{}, errors.New("not now")
	}
	return query.Answer{}, nil
}

func (c *counted) Partition(key string) int { return len(key) % 12 }

func (c *counted) Watch(concerns func(int) bool) (<-chan struct{}, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wake := make(chan struct{}, 1)
	c.concerns, c.wakes = append(c.concerns, concerns), append(c.wakes, wake)
	return wake, func() {}
}

// notify is what a NOTIFY about a partition does.
func (c *counted) notify(partition int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, concerns := range c.concerns {
		if concerns(partition) {
			c.wakes[i] <- struct{}{}
		}
	}
}

// streaming serves event streams of orders that have no events.
func streaming(t testing.TB, rows *counted, limits shop.Limits) *httptest.Server {
	t.Helper()
	s, err := shop.NewQueries(shop.QueryConfig{Rows: rows, Streams: limits})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			if _, err := s.Order(r.Context(), query.Ask{}, "one"); shop.RefusalOf(err).Code != "order_not_found" {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
			return
		}
		watch, err := s.Watch(r.URL.Path, r.Header.Get("Client"), 0)
		if err != nil {
			_ = api.AsProblem(err).Write(w, "")
			return
		}
		_ = (&eventStream{ctx: r.Context(), watch: watch, order: r.URL.Path, log: slog.New(slog.DiscardHandler)}).VisitStreamOrderEventsResponse(w)
	}))
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		web.CloseClientConnections()
		web.Close()
	})
	return web
}

// listen opens n streams of as many orders and gives their bodies, of which nothing is read.
func listen(t testing.TB, web *httptest.Server, n int) []io.Closer {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 0}}
	open := make([]io.Closer, n)
	errs := make(chan error, n)
	var g sync.WaitGroup
	for part := range 16 {
		g.Go(func() {
			for i := part; i < n; i += 16 {
				req, _ := http.NewRequest(http.MethodGet, web.URL+"/"+strconv.Itoa(i), nil) //nolint:noctx // as long as the server
				req.Header.Set("Client", strconv.Itoa(i))
				res, err := client.Do(req)
				if err != nil || res.StatusCode != http.StatusOK {
					errs <- fmt.Errorf("stream %d: %v %w", i, res, err)
					return
				}
				open[i] = res.Body
			}
		})
	}
	g.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	return open
}

// However many streams are open, a change in a partition is one query, and no change is none but a sweep of one partition a second.
func TestIdleStreamsAskNothing(t *testing.T) {
	n := mostStreams(t, 2000)
	rows := &counted{}
	web := streaming(t, rows, shop.Limits{Streams: n, PerClient: n})
	opening := time.Now()
	defer closeAll(listen(t, web, n))
	began, before := time.Now(), rows.reads.Load()
	if sweeps := int64(began.Sub(opening)/sweepEvery) + 10; before > 2*int64(n)+sweeps {
		t.Errorf("opening %d streams took %d queries, %d of them sweeps", n, before, sweeps)
	}
	const changes = 20
	for i := range changes {
		at := rows.reads.Load()
		rows.notify(i%4 + 2) // names of one to four digits and a slash
		for rows.reads.Load() == at {
			if time.Since(began) > time.Minute {
				t.Fatal("nothing is asked after a change")
			}
			time.Sleep(time.Millisecond)
		}
	}
	for rows.reads.Load() < before+changes+2 { // two sweeps, at least
		if time.Since(began) > time.Minute {
			t.Fatal("nothing looks for what was not notified")
		}
		time.Sleep(10 * time.Millisecond)
	}
	sweeps := int64(time.Since(began)/sweepEvery) + 2
	if asked := rows.reads.Load() - before; asked > changes+sweeps {
		t.Errorf("%d queries for %d changes and %d sweeps beside %d idle streams", asked, changes, sweeps, n)
	}
}

func closeAll(all []io.Closer) {
	for _, c := range all {
		_ = c.Close()
	}
}

// Beyond the limits of a client, and of all, a stream is refused with when to come again; one that ends makes room.
func TestStreamsAreBounded(t *testing.T) {
	web := streaming(t, &counted{}, shop.Limits{Streams: 5, PerClient: 3})
	ask := func(client string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/order", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Client", client)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	refused := func(what string, res *http.Response) {
		t.Helper()
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", what, res.StatusCode, res.Header)
		}
	}
	first := ask("a")
	for range 2 {
		if res := ask("a"); res.StatusCode != http.StatusOK {
			t.Fatalf("within the limits: %d", res.StatusCode)
		}
	}
	refused("a fourth of one client", ask("a"))
	for range 2 {
		if res := ask("b"); res.StatusCode != http.StatusOK {
			t.Fatalf("another client: %d", res.StatusCode)
		}
	}
	refused("a sixth in all", ask("c"))
	_ = first.Body.Close()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		res := ask("c")
		if res.StatusCode == http.StatusOK {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("a stream that ended leaves no room")
		}
	}
}

// Streams are looked at again when looking failed.
func TestFailedLooksAreMadeAgain(t *testing.T) {
	rows := &counted{}
	web := streaming(t, rows, shop.Limits{})
	defer closeAll(listen(t, web, 1))
	rows.fail.Store(true)
	at := rows.reads.Load()
	rows.notify(2)
	for began := time.Now(); rows.reads.Load() < at+3; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("asked %d times", rows.reads.Load()-at)
		}
	}
}

// BenchmarkReadBesideIdleStreams is how long a read takes beside 10,000 idle streams, or as many as files may be open, relative to one
// beside none: medians of rounds that take turns, with ten notifications a second.
func BenchmarkReadBesideIdleStreams(b *testing.B) {
	n := mostStreams(b, 10_000)
	read := func(web *httptest.Server) time.Duration {
		const reads = 500
		took := make([]time.Duration, reads)
		for i := range took {
			began := time.Now()
			res, err := web.Client().Get(web.URL + "/read") //nolint:noctx // at once
			if err != nil || res.StatusCode != http.StatusOK {
				b.Fatal(res, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		return took[reads/2]
	}
	quiet := streaming(b, &counted{}, shop.Limits{})
	rows := &counted{}
	web := streaming(b, rows, shop.Limits{Streams: n, PerClient: n})
	defer closeAll(listen(b, web, n))
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				rows.notify(6)
			}
		}
	}()
	for b.Loop() {
		var beside, alone []time.Duration
		for range 20 {
			alone, beside = append(alone, read(quiet)), append(beside, read(web))
		}
		slices.Sort(alone)
		slices.Sort(beside)
		b.ReportMetric(float64(n), "streams")
		b.ReportMetric(float64(alone[10].Microseconds()), "µs/alone")
		b.ReportMetric(float64(beside[10].Microseconds()), "µs/beside")
		b.ReportMetric(float64(beside[10])/float64(alone[10]), "ratio")
	}
}

// mostStreams is so many, or as many as files may be open for: both ends are of this process.
func mostStreams(tb testing.TB, n int) int {
	tb.Helper()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		tb.Fatal(err)
	}
	return min(n, int(min(files.Cur, 1<<20))/2-200) //nolint:gosec // files
}

// BenchmarkIdleStreams is what 10,000 idle streams cost, or as many as files may be open: both ends, with ten notifications a second.
func BenchmarkIdleStreams(b *testing.B) {
	n := mostStreams(b, 10_000)
	rows := &counted{}
	web := streaming(b, rows, shop.Limits{Streams: n, PerClient: n})
	defer closeAll(listen(b, web, n))
	for b.Loop() {
		const span = 20 * time.Second
		before, asked := cpu(b), rows.reads.Load()
		for began := time.Now(); time.Since(began) < span; time.Sleep(100 * time.Millisecond) {
			rows.notify(6)
		}
		b.ReportMetric(float64(n), "streams")
		b.ReportMetric(100*float64(cpu(b)-before)/float64(span), "%core")
		b.ReportMetric(float64(rows.reads.Load()-asked)/span.Seconds(), "queries/s")
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
