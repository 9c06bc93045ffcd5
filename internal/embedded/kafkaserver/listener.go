package kafkaserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// frameTime is how long a frame that has begun may take to arrive.
const frameTime = 30 * time.Second

// listener accepts clients and hands kfake connections that only ever yield checked frames.
type listener struct {
	net.Listener

	addr     net.Addr
	maxFrame int
	maxConns int
	logger   *slog.Logger
	metrics  *metrics

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
}

func guard(tcp net.Listener, cfg Config) (*listener, error) {
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	l := &listener{Listener: tcp, addr: tcp.Addr(), maxFrame: cfg.MaxFrame, maxConns: cfg.MaxConnections,
		logger: cfg.Logger, metrics: m, conns: map[*conn]struct{}{}}
	if cfg.Advertise != "" {
		if _, _, err := net.SplitHostPort(cfg.Advertise); err != nil {
			return nil, fmt.Errorf("address to advertise: %w", err)
		}
		l.addr = advertised(cfg.Advertise)
	}
	return l, nil
}

type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// Addr is what kfake tells clients to connect to.
func (l *listener) Addr() net.Addr { return l.addr }

// Accept fails only when the listener is closed: kfake stops listening at the first error.
func (l *listener) Accept() (net.Conn, error) {
	for pause := time.Millisecond; ; {
		tcp, err := l.Listener.Accept()
		switch {
		case err == nil:
			pause = time.Millisecond
			if c := l.admit(tcp); c != nil {
				return c, nil
			}
		case errors.Is(err, net.ErrClosed):
			return nil, err
		default: // out of file descriptors, or the client was gone before we came
			l.logger.Warn("embedded Kafka broker cannot accept a connection", "error", err)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
		}
	}
}

func (l *listener) admit(tcp net.Conn) *conn {
	c := &conn{Conn: tcp, l: l}
	l.mu.Lock()
	admitted := !l.closed && len(l.conns) < l.maxConns
	if admitted {
		l.conns[c] = struct{}{}
	}
	n := len(l.conns)
	l.mu.Unlock()
	if !admitted {
		l.metrics.refused.WithLabelValues("too many connections").Inc()
		_ = tcp.Close()
		return nil
	}
	l.metrics.connections.Set(float64(n))
	return c
}

// closeAll ends every connection: kfake leaves those alone whose client is silent.
func (l *listener) closeAll() {
	_ = l.Close()
	l.mu.Lock()
	l.closed = true
	open := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// conn is a client. kfake reads from one goroutine and writes from another.
type conn struct {
	net.Conn

	l       *listener
	frame   []byte // of the frame being handed out
	unread  []byte // what is left of it
	closing sync.Once
}

// Read yields checked frames and nothing else.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		if err := c.nextFrame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *conn) nextFrame() error {
	const keep = 64 << 10 // room kept between frames
	if cap(c.frame) > keep {
		c.frame = nil
	}
	_ = c.SetReadDeadline(time.Time{}) // a silent client may stay
	c.frame = append(c.frame[:0], 0, 0, 0, 0)
	if _, err := io.ReadFull(c.Conn, c.frame[:1]); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(frameTime))
	if _, err := io.ReadFull(c.Conn, c.frame[1:4]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(c.frame)
	if size > uint32(c.l.maxFrame) || size < headerSize { //nolint:gosec // a positive setting
		return c.refuse("size", fmt.Errorf("frame of %d bytes", size))
	}
	// Room is made as bytes arrive, not as they are announced.
	for left := int(size); left > 0; {
		step := min(left, max(keep, len(c.frame)))
		at := len(c.frame)
		if cap(c.frame)-at < step {
			c.frame = append(make([]byte, 0, at+step), c.frame...)
		}
		c.frame = c.frame[:at+step]
		if _, err := io.ReadFull(c.Conn, c.frame[at:]); err != nil {
			return err
		}
		left -= step
	}
	api, err := check(c.frame[4:])
	if err != nil {
		return c.refuse("malformed", err)
	}
	c.l.metrics.requests.WithLabelValues(api).Inc()
	c.l.metrics.received.Add(float64(len(c.frame)))
	c.unread = c.frame
	return nil
}

func (c *conn) refuse(reason string, err error) error {
	c.l.metrics.refused.WithLabelValues(reason).Inc()
	c.l.logger.Warn("embedded Kafka broker cut a connection", "client", c.RemoteAddr().String(), "reason", reason, "error", err)
	_ = c.Close()
	return fmt.Errorf("refused: %w", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.l.metrics.sent.Add(float64(n))
	return n, err
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.closing.Do(func() {
		c.l.mu.Lock()
		delete(c.l.conns, c)
		n := len(c.l.conns)
		c.l.mu.Unlock()
		c.l.metrics.connections.Set(float64(n))
	})
	return err
}
