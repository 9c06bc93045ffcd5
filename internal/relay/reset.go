package relay

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Alone calls do with a connection that holds the lock of the active relay: no relay publishes meanwhile. It refuses while one
// is active.
func Alone(ctx context.Context, pool *pgxpool.Pool, do func(*pgx.Conn) error) error {
	t, err := waitForTurn(ctx, Config{Pool: pool}, nil)
	if err != nil {
		return err
	}
	defer t.end()
	return do(t.conn)
}

// Forget removes the relay's checkpoint: the next relay publishes the whole log. Nothing is lost by it.
func Forget(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `delete from daybook.relay`)
	return err
}
