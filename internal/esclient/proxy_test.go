package esclient_test

import (
	"net"
	"sync"
	"testing"
)

// proxy is between client and server, and can fail as networks do.
type proxy struct {
	listener net.Listener

	mu      sync.Mutex
	target  string
	mode    mode
	changed chan struct{} // closed at each change of mode
	conns   map[net.Conn]bool
	dead    map[net.Conn]bool // nothing passes them any more
}

type mode struct {
	up, down bool // requests, answers pass; else they are held back
	refuse   bool // no new connections
}

var (
	passes  = mode{up: true, down: true}
	hole    = mode{}         // half-open: neither side notices
	mute    = mode{up: true} // the server works, its answers are lost
	refused = mode{up: true, down: true, refuse: true}
)

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, mode: passes, changed: make(chan struct{}), conns: map[net.Conn]bool{}, dead: map[net.Conn]bool{}}
	go p.accept()
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// set changes what passes.
func (p *proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
}

// forget makes the connections there are dead without telling anybody; new ones pass.
func (p *proxy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.dead[c] = true
	}
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	clear(p.conns)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target, refuse := p.target, p.mode.refuse
		p.mu.Unlock()
		if refuse {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		go p.copy(server, client, func(m mode) bool { return m.up })
		go p.copy(client, server, func(m mode) bool { return m.down })
	}
}

func (p *proxy) copy(to, from net.Conn, open func(mode) bool) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.pass(from, open) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until the way is open; false if the connection was cut meanwhile.
func (p *proxy) pass(c net.Conn, open func(mode) bool) bool {
	for {
		p.mu.Lock()
		ok, alive, changed := open(p.mode) && !p.dead[c], p.conns[c], p.changed
		p.mu.Unlock()
		switch {
		case !alive:
			return false
		case ok:
			return true
		}
		<-changed
	}
}
