package relay

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The lock of a relay that was killed is held until Postgres notices. A reset waits for that.
func TestResetWaitsForALingeringLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	held, err := w.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if _, err := held.Exec(t.Context(), `select pg_advisory_lock($1)`, int64(lockKey)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Alone(t.Context(), w.pool, func(*pgx.Conn) error { return nil }) }()
	for refused := 0; refused == 0; { // until it has asked once, and not got the lock
		const asked = `select count(*) from pg_stat_activity where datname = current_database() and application_name = 'daybook-relay' and state = 'idle' and query like '%pg_try_advisory_lock%'`
		if err := held.QueryRow(t.Context(), asked).Scan(&refused); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			t.Fatalf("did not wait: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if _, err := held.Exec(t.Context(), `select pg_advisory_unlock($1)`, int64(lockKey)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
