package reactor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/reactor"
)

// keep writes what a try came to, and gives whether there is something to do before the next poll.
func (o *owner) keep(ctx context.Context, r row, next reactor.Next, failed error) bool {
	soon, err := o.settle(ctx, r, next, failed)
	if ctx.Err() == nil {
		o.kept(r, err)
	}
	if err != nil && ctx.Err() == nil {
		o.log.Debug("cannot keep what a reactor came to; it will be called again", "reactor", r.reactor, "stream", r.task.Stream.String(), "error", err)
	}
	return soon
}

// kept notes whether a row could be written.
func (o *owner) kept(r row, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.held, r.key())
		return
	}
	tries := o.held[r.key()].tries
	o.held[r.key()] = hold{tries + 1, o.now().Add(o.retries().After(tries + 1))}
}

// settle closes the row or says when it is due again. A row that was woken meanwhile is due at once, and one that
// another owner has settled is left alone.
func (o *owner) settle(ctx context.Context, r row, next reactor.Next, failed error) (soon bool, err error) {
	if failed == nil && next.Closed {
		return false, o.write(ctx, r, nil, `delete from daybook.reactor_waiting where reactor = $1 and intent = $2::uuid`, r.reactor, r.task.ID.String())
	}
	memo, after, err := o.leaves(r, next, failed)
	if err != nil {
		return false, err
	}
	now := o.now()
	var due time.Time
	err = o.write(ctx, r, func(row pgx.Row) error { return row.Scan(&due) }, `
		update daybook.reactor_waiting set tries = tries + 1, memo = $5, due_at = case when wakes = $4 then $6::timestamptz else $7::timestamptz end
		where reactor = $1 and intent = $2::uuid and tries = $3 returning due_at`,
		r.reactor, r.task.ID.String(), r.task.Tries, r.wakes, memo, now.Add(after), now)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil && due.Before(now.Add(o.cfg.Poll)), err
}

// leaves gives the memo of an intent that a try left open, and the time to the next.
func (e *Engine) leaves(r row, next reactor.Next, failed error) (memo []byte, after time.Duration, err error) {
	memo, after = r.task.Left, e.retries().After(r.task.Tries+1)
	if failed == nil {
		if memo, err = json.Marshal(next.Memo); err != nil {
			return nil, 0, fmt.Errorf("encode a memo: %w", err)
		}
		if next.After >= 0 {
			after = next.After
		}
	}
	if len(memo) == 0 {
		memo = []byte("null")
	}
	return memo, after, nil
}

// write runs one statement about a row without waiting for the disk, nor long for a lock, in one round trip: a batch is a transaction.
// A row that was not found held before is waited for only briefly, for it keeps a slot from others.
func (o *owner) write(ctx context.Context, about row, read func(pgx.Row) error, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	lock := "100ms"
	o.mu.Lock()
	if o.held[about.key()].tries > 0 {
		lock = "1s"
	}
	o.mu.Unlock()
	var b pgx.Batch
	b.Queue(unsynced, lock)
	q := b.Queue(sql, args...)
	if read != nil {
		q.QueryRow(read)
	}
	return o.cfg.Pool.SendBatch(ctx, &b).Close()
}
