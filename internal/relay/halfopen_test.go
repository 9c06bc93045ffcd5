package relay

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A connection on which nothing is answered any more does not hold the relay up: it is given up, and another one is used.
func TestAHalfOpenConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var (
		mu   sync.Mutex
		open []*deafConn
	)
	cfg := w.config()
	cfg.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		open = append(open, &deafConn{Conn: c})
		return open[len(open)-1], nil
	}
	w.start(cfg)
	w.append(50)
	w.settled()
	mu.Lock()
	old := len(open)
	for _, c := range open { // new connections work, these never again
		c.deaf.Store(true)
	}
	mu.Unlock()
	w.append(50)
	if got := w.checkTopic(w.settled()); got.heals != 0 {
		t.Errorf("a consumer saw %+v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	used := false
	for _, c := range open[:old] {
		used = used || c.ignored.Load()
	}
	if !used || len(open) == old {
		t.Errorf("of %d connections %d are new, a half-open one was used: %t", len(open), len(open)-old, used)
	}
}

// deafConn says nothing and hears nothing once it is deaf.
type deafConn struct {
	net.Conn

	deaf, ignored atomic.Bool
}

func (c *deafConn) Write(p []byte) (int, error) {
	if c.deaf.Load() {
		c.ignored.Store(true)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.deaf.Load() {
			return n, err
		}
	}
}
