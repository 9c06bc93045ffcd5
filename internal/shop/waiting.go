package shop

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderdetails"
)

// waiting serves every request that waits for the outcome of an order with one query per change in a partition, whatever the number of
// requests.
type waiting struct {
	details   orderdetails.Queries
	partition func(key string) int
	log       *slog.Logger
	kick      chan struct{} // a request begins to wait
	closed    chan struct{} // run has ended

	mu         sync.Mutex
	orders     map[string][]*waiter
	partitions map[int]int // number of awaited orders in each
}

type waiter struct {
	revision int64                    // that the order's row must have reached
	ended    chan orderdetails.Detail // has room for the row
}

// poll finds changes whose NOTIFY was lost.
const poll = 250 * time.Millisecond

// lookWithin limits a query, so that a dead connection does not delay the next one.
const lookWithin = 5 * time.Second

func newWaiting(details orderdetails.Queries, partition func(string) int, log *slog.Logger) *waiting {
	return &waiting{
		details: details, partition: partition, log: log, kick: make(chan struct{}, 1), closed: make(chan struct{}),
		orders: map[string][]*waiter{}, partitions: map[int]int{},
	}
}

// concerns reports whether an awaited order is in the partition.
func (w *waiting) concerns(partition int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.partitions[partition] > 0
}

func (w *waiting) run(ctx context.Context, wake <-chan struct{}) error {
	defer close(w.closed)
	again := time.NewTimer(poll)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-w.kick:
		case <-again.C:
		}
		awaited, err := w.look(ctx)
		if err != nil && ctx.Err() == nil {
			w.log.Warn("could not read the status of awaited orders", "error", err)
			select {
			case <-time.After(poll):
			case <-ctx.Done():
			}
		}
		if again.Stop(); awaited {
			again.Reset(poll)
		}
	}
}

// look reads the status of all awaited orders in one query, and releases the requests of those that have ended. It tells whether there
// were any.
func (w *waiting) look(ctx context.Context) (awaited bool, err error) {
	var ids []string
	var revisions []int64
	w.mu.Lock()
	for id, waiters := range w.orders {
		ids, revisions = append(ids, id), append(revisions, slices.MinFunc(waiters, byRevision).revision)
	}
	w.mu.Unlock()
	if len(ids) == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	ended, err := w.details.Ended(ctx, ids, revisions)
	if err != nil {
		return true, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range ended {
		w.drop(d.Key, func(one *waiter) bool {
			if d.Revision < one.revision {
				return false
			}
			one.ended <- d
			return true
		})
	}
	return true, nil
}

func byRevision(a, b *waiter) int { return cmp.Compare(a.revision, b.revision) }

func (w *waiting) add(id string, one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.orders[id] = append(w.orders[id], one); len(w.orders[id]) == 1 {
		w.partitions[w.partition(id)]++
	}
}

// drop removes the waiters of an order for which over is true. The caller holds w.mu.
func (w *waiting) drop(id string, over func(*waiter) bool) {
	before := len(w.orders[id])
	left := slices.DeleteFunc(w.orders[id], over)
	if w.orders[id] = left; len(left) == 0 {
		delete(w.orders, id)
		if before > 0 {
			w.partitions[w.partition(id)]--
		}
	}
}

// await gives the order's row when it has ended; nil if before that ctx ends, the shop stops or atMost has passed.
func (w *waiting) await(ctx context.Context, id string, revision int64, atMost time.Duration) *orderdetails.Detail {
	one := &waiter{revision, make(chan orderdetails.Detail, 1)}
	w.add(id, one)
	select {
	case w.kick <- struct{}{}:
	default:
	}
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case d := <-one.ended:
		return &d
	case <-t.C:
	case <-ctx.Done():
	case <-w.closed:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(id, func(o *waiter) bool { return o == one })
	return nil
}

// await returns the order from its read model when it has ended, or after atMost. The position of one that has ended is that of its row's last
// event. ok is false if the read model does not include the receipt by then.
func (q *Queries) await(ctx context.Context, r es.Receipt, atMost time.Duration) (o Answer[Order], ok bool, err error) {
	d := q.waiting.await(ctx, r.Stream.Key, int64(r.Revision), atMost) //nolint:gosec // below 2^63
	var answer query.Answer
	if d != nil {
		answer.Position = uint64(d.Position) //nolint:gosec // of an event
	} else {
		ask := query.Ask{MinPosition: r.Position, Wait: time.Millisecond}
		if d, answer, err = q.details.Get(ctx, ask, r.Stream.Key); err != nil || d == nil {
			return o, false, nil //nolint:nilerr // the command's own answer is as good
		}
	}
	shown, err := q.open(ctx, *d)
	return Answer[Order]{shown, answer}, err == nil, err
}
