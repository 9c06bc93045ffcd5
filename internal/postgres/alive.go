package postgres

import (
	"context"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"
)

// doubtful tells a pool which idle connections to try before it gives them out. A server that ends a connection says so at once, and an
// idle one has nothing else to say: if there is something to read, the first statement would fail in place of another connection
// being taken. Without a sign, one is tried that has been idle for longer than triedAfter.
func doubtful(_ context.Context, p pgxpool.ShouldPingParams) bool {
	return p.IdleDuration > triedAfter || said(p.Conn.PgConn().Conn())
}

// said tells whether there is something to read.
func said(conn net.Conn) (said bool) {
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secured.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) { said = readable(fd) })
	return said || err != nil
}
