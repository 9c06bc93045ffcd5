package relay

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// A connection on which nothing is answered any more must not hold the relay up for longer than its patience.
func TestAHalfOpenConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var deaf atomic.Bool
	cfg := w.config()
	cfg.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &deafConn{Conn: c, deaf: &deaf}, err
	}
	w.start(cfg)
	w.append(50)
	w.settled()
	deaf.Store(true)
	w.append(50)
	began := time.Now()
	time.AfterFunc(500*time.Millisecond, func() { deaf.Store(false) }) // new connections work again, the old ones never
	state := w.settled()
	t.Logf("published again %v after the connections went silent", time.Since(began).Round(time.Millisecond))
	if got := w.checkTopic(state); got.heals != 0 {
		t.Errorf("a consumer saw %+v", got)
	}
	if took := time.Since(began); took > 3*minProduceTimeout {
		t.Errorf("took %v", took)
	}
}

// deafConn says nothing and hears nothing once it was used while deaf.
type deafConn struct {
	net.Conn

	deaf *atomic.Bool
	lost atomic.Bool
}

func (c *deafConn) silent() bool {
	if c.deaf.Load() {
		c.lost.Store(true)
	}
	return c.lost.Load()
}

func (c *deafConn) Write(p []byte) (int, error) {
	if c.silent() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.silent() {
			return n, err
		}
	}
}
