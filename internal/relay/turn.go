package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// lockKey is the advisory lock of the active relay.
const lockKey = 0x0da7b00c_0001

// errFenced: another relay has taken over since, or the row was moved by other means.
var errFenced = errors.New("another relay has taken over")

// turn is being the active relay: a connection that holds the lock, over which the row is written. The lock is lost with
// the connection, and so is the ability to write.
type turn struct {
	conn  *pgx.Conn
	epoch int64
	at    uint64 // the row's position
}

// errTaken: another relay is active.
var errTaken = errors.New("another relay is active; stop it first")

// lingering bounds how long the lock of a relay that has just ended may still be held: Postgres notices the end of a killed
// process's connection a moment later.
const lingering = 5 * time.Second

// waitForTurn holds the lock when it returns. standing is called when Postgres has answered that another relay holds it;
// without standing, it waits only for a lock that may be lingering, and then fails with errTaken.
func waitForTurn(ctx context.Context, cfg Config, standing func()) (*turn, error) {
	conn, err := connect(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to Postgres: %w", err)
	}
	t := &turn{conn: conn}
	until := time.Now().Add(lingering)
	for {
		var mine bool
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := conn.QueryRow(asking, `select pg_try_advisory_lock($1)`, int64(lockKey)).Scan(&mine)
		cancel()
		if err != nil {
			t.end()
			return nil, fmt.Errorf("asking for the relay's lock: %w", err)
		}
		if mine {
			return t, nil
		}
		pause := cfg.StandbyEvery
		switch {
		case standing != nil:
			standing()
		case time.Now().After(until):
			t.end()
			return nil, errTaken
		default:
			pause = 100 * time.Millisecond
		}
		if err := backoff.Wait(ctx, pause); err != nil {
			t.end()
			return nil, err
		}
	}
}

// connect opens a connection of its own, outside the pool. Postgres is set to notice quickly that this process is gone, also
// when the whole machine is: until then no other process gets the lock.
func connect(ctx context.Context, cfg Config) (*pgx.Conn, error) {
	pg := cfg.Pool.Config().ConnConfig.Copy()
	pg.RuntimeParams["application_name"] = "daybook-relay"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, pg)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `set tcp_keepalives_idle = 2; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 3; set tcp_user_timeout = '5s'`)
	if err != nil && !strings.Contains(err.Error(), "not support") { // a Unix socket, or an old system: then without
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// end gives the lock back before it closes the connection: Postgres frees what a closed connection held only after a while.
func (t *turn) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = t.conn.Exec(ctx, `select pg_advisory_unlock_all()`) // fails on a broken connection, which holds nothing for long
	_ = t.conn.Close(ctx)
}

// takeOver makes the row if there is none, shuts out every earlier leader, and says where to go on.
func (t *turn) takeOver(ctx context.Context, partitions int, incarnation string) (topic.State, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var from topic.State
	err := pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into daybook.relay (position, last, partitions, incarnation, filter)
			values (0, $1, $2, $3, $4) on conflict do nothing`, make([]int64, partitions), partitions, incarnation, es.RelayFilter)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `update daybook.relay set epoch = epoch + 1 returning epoch`).Scan(&t.epoch); err != nil {
			return err
		}
		if from, err = topic.LoadState(ctx, tx); err != nil {
			return err
		}
		return belongs(from, partitions, incarnation)
	})
	if err != nil {
		return topic.State{}, fmt.Errorf("taking over the relay's checkpoint: %w", err)
	}
	t.at = from.Position
	// Losing the last moves of the checkpoint in a crash of Postgres costs duplicates, nothing else.
	if _, err := t.conn.Exec(ctx, `set synchronous_commit = off`); err != nil {
		return topic.State{}, fmt.Errorf("taking over the relay's checkpoint: %w", err)
	}
	if _, err := t.conn.Exec(ctx, `listen `+topic.Wanted); err != nil {
		return topic.State{}, fmt.Errorf("taking over the relay's checkpoint: %w", err)
	}
	return from, nil
}

// listen returns when ctx ends, or the connection was closed: then with an error. It calls wanted when the relay is asked to look.
func (t *turn) listen(ctx context.Context, wanted func()) error {
	for ctx.Err() == nil {
		_, err := t.conn.WaitForNotification(ctx)
		switch {
		case err == nil:
			wanted()
		case ctx.Err() == nil:
			return fmt.Errorf("the connection that holds the relay's lock: %w", err)
		}
	}
	return nil
}

// save moves the row from where this leader left it. Readers who wait for what a partition has reached are woken: that
// depends on this row too.
func (t *turn) save(ctx context.Context, s topic.State) error {
	last := make([]int64, len(s.Last))
	for p, at := range s.Last {
		last[p] = int64(at) //nolint:gosec // positions of a log
	}
	if s.Position < t.at {
		return fmt.Errorf("the relay's checkpoint would move back from %d to %d", t.at, s.Position)
	}
	caughtUp := &s.CaughtUpAt
	if s.CaughtUpAt.IsZero() {
		caughtUp = nil
	}
	const move = `update daybook.relay set position = $1, last = $2, caught_up_at = greatest(caught_up_at, $3) where epoch = $4 and position = $5`
	sql := move
	if s.Position > t.at {
		sql = `with moved as (` + move + ` returning 1) select pg_notify('` + topic.Moved + `', '` + topic.CheckpointMoved + `') from moved`
	}
	tag, err := t.conn.Exec(ctx, sql, int64(s.Position), last, caughtUp, t.epoch, int64(t.at)) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("writing the relay's checkpoint: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("writing the relay's checkpoint %d: %w", s.Position, errFenced)
	}
	t.at = s.Position
	return nil
}
