package fleet

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Balance serves an address from which every connection goes to one of some others that takes it, in turn, as a balancer
// without health checks does. What is under way to one that dies is cut.
func Balance(t testing.TB, to ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		next int
		open = map[net.Conn]bool{}
	)
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			_ = c.Close()
		}
	})
	serve := func(in net.Conn) {
		defer func() { _ = in.Close() }()
		mu.Lock()
		next++
		first := next
		mu.Unlock()
		for i := range to {
			out, err := net.DialTimeout("tcp", to[(first+i)%len(to)], time.Second)
			if err != nil {
				continue
			}
			mu.Lock()
			open[in], open[out] = true, true
			mu.Unlock()
			Join(in, out)
			mu.Lock()
			delete(open, in)
			delete(open, out)
			mu.Unlock()
			return
		}
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go serve(in)
		}
	}()
	return "http://" + l.Addr().String()
}

// Join carries bytes both ways until one side ends, and then ends the other, as it was ended.
func Join(a, b net.Conn) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			if _, err := io.Copy(way[0], way[1]); errors.Is(err, syscall.ECONNRESET) {
				for _, c := range way {
					_ = c.(*net.TCPConn).SetLinger(0)
				}
			}
			_, _ = a.Close(), b.Close()
		})
	}
	both.Wait()
}
