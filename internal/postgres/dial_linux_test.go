package postgres_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

// The other end of a connection may vanish without a word. The system ends such a connection within seconds in every state it may be in:
// else each of a pool would hold its user up until its own deadline.
func TestConnectionsNoticeThatTheirOtherEndIsGone(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), postgrestest.URL(t), postgres.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	tcp, ok := conn.Conn().PgConn().Conn().(*net.TCPConn)
	if !ok {
		t.Fatalf("a connection by %T", conn.Conn().PgConn().Conn())
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	get := func(option int) (value int) {
		if controlled := raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option) }); controlled != nil || err != nil {
			t.Fatal(controlled, err)
		}
		return value
	}
	if ms := get(unix.TCP_USER_TIMEOUT); ms <= 0 || ms > 10_000 {
		t.Errorf("what is not acknowledged is waited for %d ms", ms)
	}
	if s := get(unix.TCP_KEEPIDLE) + get(unix.TCP_KEEPINTVL)*get(unix.TCP_KEEPCNT); s > 10 {
		t.Errorf("an idle connection is dead for %d s before that is noticed", s)
	}
}
