package esclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/testenv/ports"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// load appends to streams of its own, one event after another, each repeated until its outcome is known; it
// reads, and follows the log. What it was answered must be what is written.
type load struct {
	testing.TB

	client *esclient.Client
	done   sync.WaitGroup
	stop   chan struct{}

	appended atomic.Int64 // events acknowledged
	repeats  atomic.Int64 // of appends whose outcome was not known
	reads    atomic.Int64
	wants    [][]es.UUID // by stream
}

const (
	patience = time.Second      // of one call
	late     = 10 * time.Second // by a busy machine; what no deadline ends takes a keepalive, 20 s
)

func stream(i int) es.StreamID { return es.StreamID{Category: "load", Key: "s", N: i + 1} }

func event(i, n int) []es.Proposed {
	data := fmt.Sprintf(`{"stream":%d,"n":%d}`, i, n)
	if n%50 == 7 { // some by the stream for large ones
		data = fmt.Sprintf(`{"stream":%d,"n":%d,"text":%q}`, i, n, make([]byte, 70<<10))
	}
	return []es.Proposed{{ID: es.DerivedID(es.UUID{}, i, n), Type: "load.came", Data: []byte(data), Meta: []byte(`{"schema":1}`)}}
}

func startLoad(t testing.TB, c *esclient.Client, writers int) *load {
	l := &load{TB: t, client: c, stop: make(chan struct{}), wants: make([][]es.UUID, writers)}
	for i := range writers {
		l.done.Go(func() { l.write(i) })
	}
	l.done.Go(l.read)
	return l
}

func (l *load) write(i int) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		e := event(i, n)
		for !l.append(i, n, e) {
			if l.Failed() {
				return
			}
			l.repeats.Add(1)
		}
		l.wants[i] = append(l.wants[i], e[0].ID)
		l.appended.Add(1)
	}
}

func (l *load) append(i, n int, e []es.Proposed) bool {
	ctx, cancel := context.WithTimeout(l.Context(), patience)
	defer cancel()
	begun := time.Now()
	_, err := l.client.Append(ctx, stream(i), es.Expected(n)-1, e)
	if took := time.Since(begun); took > patience+late {
		l.Errorf("an append with a deadline of %v took %v", patience, took)
	}
	if err != nil && !errors.Is(err, es.ErrUnknownOutcome) && !errors.Is(err, es.ErrUnavailable) {
		l.Errorf("append %d to stream %d: %v", n, i, err)
	}
	return err == nil
}

func (l *load) read() {
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(l.Context(), patience)
		begun := time.Now()
		next := uint64(0)
		for r, err := range l.client.Read(ctx, stream(i%len(l.wants)), 0) {
			if err != nil {
				break
			}
			if r.Revision != next {
				l.Errorf("revision %d where %d should stand", r.Revision, next)
			}
			next++
		}
		if took := time.Since(begun); took > patience+late {
			l.Errorf("a reading with a deadline of %v took %v", patience, took)
		}
		cancel()
		l.reads.Add(1)
	}
}

// progress waits until that many more events were acknowledged.
func (l *load) progress(n int64, within time.Duration) {
	l.Helper()
	goal := l.appended.Load() + n
	deadline := time.Now().Add(within)
	for l.appended.Load() < goal {
		if l.Failed() {
			l.FailNow()
		}
		if time.Now().After(deadline) {
			l.Fatalf("%d appends in %v, want %d", l.appended.Load()-goal+n, within, n)
		}
		time.Sleep(time.Millisecond)
	}
}

// check ends the load and compares what was acknowledged with what is written.
func (l *load) check(c *esclient.Client) {
	l.Helper()
	close(l.stop)
	l.done.Wait()
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	total := 0
	for i, want := range l.wants {
		var got []es.UUID
		for r, err := range c.Read(ctx, stream(i), 0) {
			if err != nil {
				l.Fatal(err)
			}
			got = append(got, r.ID)
		}
		if d := cmp.Diff(want, got); d != "" {
			l.Errorf("stream %d (-acknowledged +written):\n%.2000s", i, d)
		}
		total += len(want)
	}
	l.Logf("%d appends, %d repeated, %d readings", total, l.repeats.Load(), l.reads.Load())
}

// follower follows the log from where it was after each error, as an engine does.
type follower struct {
	mu   sync.Mutex
	seen []es.UUID
	errs int
	done chan struct{}
}

func follow(ctx context.Context, c *esclient.Client) *follower {
	f := &follower{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for last := uint64(0); ctx.Err() == nil; {
			for r, err := range c.Follow(ctx, last) {
				f.mu.Lock()
				if err != nil {
					f.errs++
				} else if r.Position > 0 {
					last = r.Position
					f.seen = append(f.seen, r.ID)
				}
				f.mu.Unlock()
			}
		}
	}()
	return f
}

func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// check waits until all of the log was followed, and compares.
func (f *follower) check(t testing.TB, c *esclient.Client, within time.Duration) {
	t.Helper()
	var want []es.UUID
	for r, err := range c.ReadAll(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, r.ID)
	}
	for deadline := time.Now().Add(within); f.count() < len(want); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events followed of %d", f.count(), len(want))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := cmp.Diff(want, f.seen); d != "" {
		t.Errorf("(-log +followed):\n%.2000s", d)
	}
	t.Logf("%d events followed with %d interruptions", len(f.seen), f.errs)
}

// outage is how long the server stays away in the ordinary run; the long one has a minute (long_test.go).
const outage = 3 * time.Second

func TestServerRestarts(t *testing.T) {
	t.Parallel()
	serverRestarts(t, outage, 2)
}

// serverRestarts stops the server in the middle of everything and starts it again on its port.
func serverRestarts(t *testing.T, away time.Duration, times int) {
	dir := t.TempDir()
	s := serve(t, dir, ports.Address(t))
	c := open(t, s.Addr())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := follow(ctx, c)
	l := startLoad(t, c, 8)
	l.progress(200, time.Minute)
	for range times {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		back := time.After(away)
		one, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if _, err := c.End(one); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, es.ErrUnavailable) {
			t.Errorf("the end of a log that is away: %v", err)
		}
		stop()
		<-back
		s = again(t, dir, s.Addr())
		begun := time.Now()
		l.progress(200, time.Minute)
		t.Logf("appending %v after the server was back", time.Since(begun).Round(time.Millisecond))
	}
	l.check(c)
	f.check(t, c, time.Minute)
	cancel()
	<-f.done
}

// again starts a server where one was. Its port may be held for a moment by a child that is being started.
func again(t testing.TB, dir, addr string) *eventserver.Server {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s, err := eventserver.Start(t.Context(), eventserver.Config{Dir: dir, Listen: addr})
		if err == nil {
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "listen" || time.Now().After(deadline) {
			t.Fatalf("start the event store server again: %v", err)
		}
	}
}

// TestConnectionsAreCut resets connections at random moments, with appends and answers under way.
func TestConnectionsAreCut(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t, t.TempDir(), "127.0.0.1:0").Addr())
	c := open(t, p.addr())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := follow(ctx, c)
	l := startLoad(t, c, 8)
	for i := range 30 {
		l.progress(int64(20+i%7), time.Minute)
		if i%3 == 0 { // answers on their way are lost with the connection
			p.set(mute)
			time.Sleep(time.Duration(i) * time.Millisecond) // how long is not what is tested
			p.cut()
			p.set(passes)
			continue
		}
		p.cut()
	}
	l.progress(50, time.Minute)
	l.check(c)
	f.check(t, c, time.Minute)
	cancel()
	<-f.done
}

// TestHalfOpenConnections takes the network away without telling anybody.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t, t.TempDir(), "127.0.0.1:0").Addr())
	c := open(t, p.addr())
	l := startLoad(t, c, 6)
	for _, m := range []mode{hole, mute, refused} {
		l.progress(50, time.Minute)
		p.set(m)
		if m == refused {
			p.cut()
		}
		l.silence(3 * time.Second)
		p.cut() // what was held back is lost, as when the other machine is gone
		p.set(passes)
		begun := time.Now()
		l.progress(50, time.Minute)
		t.Logf("%+v: appending %v after it was over", m, time.Since(begun).Round(time.Millisecond))
	}
	// A network that comes back delivers what it held: copies that were given up.
	p.set(mute)
	l.silence(time.Second)
	p.set(hole)
	l.silence(time.Second)
	p.set(passes)
	l.progress(50, time.Minute)
	l.check(c)
}

// silence lasts that long, and hardly anything is acknowledged in it.
func (l *load) silence(d time.Duration) {
	l.Helper()
	time.Sleep(50 * time.Millisecond) // for answers that have passed the proxy
	before := l.appended.Load()
	time.Sleep(d)
	if n := l.appended.Load() - before; n > 0 {
		l.Errorf("%d appends were acknowledged while nothing passed", n)
	}
}

// TestCommandsThroughCuts is the whole write path: commands by id, each done once.
func TestCommandsThroughCuts(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t, t.TempDir(), "127.0.0.1:0").Addr())
	c := open(t, p.addr())
	catalog, err := es.NewCatalog([]es.Definition{es.Define[Counted](1)})
	if err != nil {
		t.Fatal(err)
	}
	handlers := []*es.Handler{es.NewHandler(c, catalog, time.Now), es.NewHandler(c, catalog, time.Now)}
	const clients, each = 8, 60
	var all sync.WaitGroup
	var done atomic.Int64
	for i := range clients {
		all.Go(func() {
			for n := range each {
				id := es.DerivedID(es.UUID{}, "command", i, n)
				for try := 0; ; try++ {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					_, err := es.Handle(ctx, handlers[(i+try)%2], Count{K: strconv.Itoa(n % 3), Tag: id.String()}, es.Call{ID: id})
					cancel()
					if err == nil {
						break
					}
					if try > 50 || t.Context().Err() != nil {
						t.Errorf("command %d of %d: %v", n, i, err)
						return
					}
				}
				done.Add(1)
			}
		})
	}
	finished := make(chan struct{})
	go func() { all.Wait(); close(finished) }()
	for last := done.Load(); ; {
		select {
		case <-finished:
		case <-time.After(time.Millisecond):
			if now := done.Load(); now-last > 15 {
				last = now
				p.set(mute)
				time.Sleep(3 * time.Millisecond)
				p.cut()
				p.set(passes)
			}
			continue
		}
		break
	}
	tags := map[string]int{}
	for r, err := range c.ReadAll(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := catalog.Open(r)
		if err != nil {
			t.Fatal(err)
		}
		tags[e.Event.(Counted).Tag]++
	}
	if len(tags) != clients*each {
		t.Errorf("%d commands took effect, %d were acknowledged", len(tags), clients*each)
	}
	for tag, n := range tags {
		if n != 1 {
			t.Errorf("%s took effect %d times", tag, n)
		}
	}
}

type Counted struct{ Tag string }

func (Counted) EventType() string { return "counter.counted" }

type Counter struct{ N int }

func (*Counter) Category() string { return "counter" }
func (c *Counter) Evolve(e es.Event) {
	if _, ok := e.(Counted); !ok {
		es.Unknown(e)
	}
	c.N++
}

type Count struct{ K, Tag string }

func (Count) CommandType() string                  { return "counter.count" }
func (c Count) Key() string                        { return c.K }
func (c Count) Decide(Counter) ([]es.Event, error) { return es.Facts(Counted{c.Tag}) }
