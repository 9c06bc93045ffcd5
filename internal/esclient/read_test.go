package esclient_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/testenv/ports"
	"github.com/daybook-dev/daybook/kit/es"
)

// No call outstays its context, whatever has become of the network: nor do calls that come after many such.
func TestCallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "127.0.0.1:0")
	for name, m := range map[string]mode{"half-open": hole, "answers lost": mute, "refused": refused} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, s.Addr())
			connected, fresh := open(t, p.addr()), open(t, p.addr())
			if err := connected.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := connected.End(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.set(m)
			if m.refuse {
				p.cut()
			}
			for _, c := range []*esclient.Client{connected, fresh} {
				calls := map[string]func(context.Context) error{
					"append": func(ctx context.Context) error {
						_, err := c.Append(ctx, stream(0), es.NoStream, event(0, 0))
						return err
					},
					"read":        func(ctx context.Context) error { return failing(c.Read(ctx, stream(0), 0)) },
					"all":         func(ctx context.Context) error { return failing(c.ReadAll(ctx, 0)) },
					"follow":      func(ctx context.Context) error { return failing(c.Follow(ctx, 0)) },
					"end":         func(ctx context.Context) error { _, err := c.End(ctx); return err },
					"incarnation": func(ctx context.Context) error { _, err := c.Incarnation(ctx); return err },
					"ping":        c.Ping,
				}
				var all sync.WaitGroup
				for name, call := range calls {
					for range 5 {
						all.Go(func() {
							ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
							defer cancel()
							begun := time.Now()
							err := call(ctx)
							if took := time.Since(begun); took > late {
								t.Errorf("%s took %v", name, took)
							}
							if name == "ping" && c == connected {
								return // it knows of nothing yet
							}
							if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, es.ErrUnavailable) && !errors.Is(err, es.ErrUnknownOutcome) {
								t.Errorf("%s: %v", name, err)
							}
						})
					}
				}
				all.Wait()
			}
			p.cut()
			p.set(passes)
			for _, c := range []*esclient.Client{connected, fresh} {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				if _, err := c.End(ctx); err != nil {
					t.Errorf("when all is well again: %v", err)
				}
				cancel()
			}
		})
	}
}

// Readers that stop early leave the connection as it is.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	to := "esdb://" + serve(t, t.TempDir(), "127.0.0.1:0").Addr() + "?tls=false"
	c, err := esclient.Open(t.Context(), esclient.Config{ConnectionString: to, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for n := range 20 {
		if _, err := c.Append(t.Context(), stream(0), es.Expected(n)-1, event(0, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, seq := range []iter.Seq2[es.Record, error]{c.Read(t.Context(), stream(0), 0), c.ReadAll(t.Context(), 0), c.Follow(t.Context(), 0)} {
			for _, err := range seq {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		if err := failing(c.Read(t.Context(), stream(7), 0)); err != nil { // no such stream
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "daybook_eventstore_connections_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); n != 1 {
				t.Errorf("%v connections: %v", n, m.GetLabel())
			}
		}
	}
}

// Connections that are dead, and do not say so, are replaced long before TCP or a keepalive would tell.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t, t.TempDir(), "127.0.0.1:0").Addr())
	c := open(t, p.addr())
	at := es.NoStream
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second) // an official client's keepalive takes 20
		if _, err := c.Append(ctx, stream(0), at, event(0, int(at)+1)); err != nil {
			t.Error(err)
		}
		if err := failing(c.Read(ctx, stream(0), 0)); err != nil {
			t.Error(err)
		}
		if _, err := c.End(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		at++
		p.forget()
	}
}

// failing gives the error with which a sequence ends.
func failing(seq func(func(es.Record, error) bool)) (last error) {
	seq(func(_ es.Record, err error) bool {
		last = err
		return true
	})
	return last
}

// A reading that is interrupted goes on after the last event it gave.
func TestReadingResumes(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t, t.TempDir(), "127.0.0.1:0").Addr())
	c := open(t, p.addr())
	const n, each = 20000, 500
	var want []es.UUID
	for at := 0; at < n; at += each {
		var batch []es.Proposed
		for i := range each {
			batch = append(batch, es.Proposed{ID: es.DerivedID(es.UUID{}, at+i), Type: "load.came", Data: []byte("{}"), Meta: []byte(`{"schema":1}`)})
			want = append(want, batch[i].ID)
		}
		if _, err := c.Append(t.Context(), stream(0), es.Expected(at)-1, batch); err != nil {
			t.Fatal(err)
		}
	}
	for name, read := range map[string]func(func(es.Record, error) bool){"stream": c.Read(t.Context(), stream(0), 0), "log": c.ReadAll(t.Context(), 0)} {
		var got []es.UUID
		for r, err := range read {
			if err != nil {
				t.Fatalf("%s, after %d events: %v", name, len(got), err)
			}
			if got = append(got, r.ID); len(got)%3000 == 0 {
				p.cut()
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%.1000s", name, d)
		}
	}
}

// A reading that begins at an event has that one first, and asks the server for a position at which there is one.
func TestReadingFromAnEvent(t *testing.T) {
	t.Parallel()
	c := open(t, serve(t, t.TempDir(), "127.0.0.1:0").Addr())
	var positions []uint64
	for n := range 4 {
		at, err := c.Append(t.Context(), stream(0), es.Expected(n)-1, event(0, n))
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, at)
	}
	for i, from := range positions {
		var got []uint64
		for r, err := range c.ReadFrom(t.Context(), from) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Position)
		}
		if !slices.Equal(got, positions[i:]) {
			t.Errorf("from %d: %v, want %v", from, got, positions[i:])
		}
	}
}

// On a server that is not ours the history's name is written once, whichever client comes first.
func TestForeignIncarnation(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "127.0.0.1:0")
	clients := []*esclient.Client{open(t, s.Addr()), open(t, s.Addr()), open(t, s.Addr())}
	names := make([]string, 12)
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() {
			var err error
			if names[i], err = clients[i%3].ForeignIncarnation(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, n := range names {
		if n == "" || n != names[0] {
			t.Fatalf("one history has the names %v", names)
		}
	}
	if own, err := clients[0].Incarnation(t.Context()); err != nil || own != s.Incarnation() {
		t.Errorf("the embedded server's is %q, %v; want %q", own, err, s.Incarnation())
	}
	count := 0
	for _, err := range clients[0].Read(t.Context(), es.AnyStreamID("incarnation-store"), 0) {
		if count++; err != nil {
			t.Error(err)
		}
	}
	if count != 1 {
		t.Errorf("it was written %d times", count)
	}
}

// Another data directory on the same address is another history.
func TestReplacedServer(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), ports.Address(t))
	c := open(t, s.Addr())
	first, err := c.Incarnation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again(t, t.TempDir(), s.Addr())
	if second, err := c.Incarnation(t.Context()); err != nil || second == first {
		t.Errorf("incarnation %q, before %q, %v", second, first, err)
	}
}

func TestCatchingUp(t *testing.T) {
	for _, c := range []struct {
		at, goal  uint64
		positions []uint64
		want      []uint64
	}{
		{0, 0, []uint64{1}, []uint64{0, 1}},
		{0, 3, []uint64{1, 3, 5}, []uint64{1, 3, 0, 5}},
		{0, 3, []uint64{1, 4, 5}, []uint64{1, 4, 0, 5}},
		{7, 5, []uint64{9}, []uint64{0, 9}},
		{0, 9, []uint64{1, 2}, []uint64{1, 2}},
	} {
		if got := esclient.Catching(c.at, c.goal, c.positions...); !cmp.Equal(c.want, got) {
			t.Errorf("from %d to %d: %v, want %v", c.at, c.goal, got, c.want)
		}
	}
}
