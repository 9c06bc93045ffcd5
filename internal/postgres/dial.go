package postgres

import (
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// deadAfter is how long the other end of a connection may be gone without a word, with its machine or the network: the system then ends
// the connection, whether something waits for an answer on it, something was sent, or it is idle in a pool. A server that is slow is not
// gone, as long as it takes what is sent.
const deadAfter = 10 * time.Second

// noticeTheDead makes connections notice that. By default it takes 150 s, and with something sent up to a quarter of an hour, and each connection of a
// pool has to be waited for.
func noticeTheDead(cfg *pgx.ConnConfig) {
	d := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadAfter / 2, Interval: time.Second, Count: int(deadAfter / 2 / time.Second)},
		Control:         limitUnacknowledged,
	}
	cfg.DialFunc = d.DialContext
}
