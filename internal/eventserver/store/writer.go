package store

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/daybook-dev/daybook/internal/failpoint"
)

// writer changes the store: it takes what waits, checks it against the heads and hands it to pebble, one group after another.
// A second goroutine, settle, waits for each group's sync, moves the visible position and only then answers anybody: also a wrong
// version and a repeat show what earlier groups contain. So the next group is made up while the disk is busy with this one.
type writer struct {
	s       *Store
	heads   *headCache // as the groups handed on leave them
	serving bool       // a new directory's first event is no client's: failpoints count from the first that is
	last    uint64     // position of the newest event written
	created int64      // when, in ticks
	stated  int64      // the time that the request under way states, 0: now

	// The group being made up.
	group       *group
	batch       *pebble.Batch       // the group's
	touched     map[string]struct{} // the group's
	spoilt      error
	changed     map[string]*change
	changes     []change        // theirs
	ids         map[ID]struct{} // ids of events written, that the index will hold
	toName      int             // events already there that may still be put in the index
	now         time.Time
	pendingMeta map[string][]byte // newest data of each metadata stream written
	deferred    []*Request        // must wait for it
	index       index
	key, buf    []byte

	groups chan *group // handed to settle, in order
	failed error       // of settle: the group that failed, and with it all behind it
	idle   sync.Pool   // groups to be used again

	mu     sync.Mutex // guards what follows against giveUp
	flight []*group   // handed to pebble and not settled
}

const (
	batchRequests = 8192
	reuseMaps     = 1024
)

func newWriter(s *Store) *writer {
	return &writer{s: s, heads: newHeadCache(), groups: make(chan *group)}
}

// run serves until the store stops. Pebble ends the goroutine by Goexit where it would end the process: the store is
// read-only then, and another one goes on refusing.
func (w *writer) run() {
	defer close(w.s.stopped)
	w.serving = true
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		for g := range w.groups {
			w.settle(g)
		}
	}()
	for ended := false; !ended; {
		over := make(chan bool)
		go func() {
			var ended bool
			defer func() { over <- ended }()
			w.serve()
			ended = true
		}()
		if ended = <-over; !ended && w.group != nil {
			w.handOver(fmt.Errorf("%w: the log could not be written", ErrUnknown))
			w.s.queue.putBack(w.deferred)
			w.deferred = nil
		}
	}
	close(w.groups)
	<-settled
}

func (w *writer) serve() {
	s := w.s
	var requests []*Request
	for {
		select {
		case <-s.queue.wake:
		case <-s.stop:
			w.refuseAll(s.queue.close(), ErrClosed)
			return
		}
		requests = s.queue.take(requests[:0], s.cfg.batchBytes, batchRequests)
		if err := s.refuse(); err != nil {
			w.refuseAll(requests, err)
			clear(requests)
			continue
		}
		if len(requests) > 0 {
			w.do(requests)
			clear(requests)
		}
	}
}

func (w *writer) refuseAll(rs []*Request, err error) {
	w.s.cfg.Metrics.refuse(len(rs))
	for _, r := range rs {
		r.Done(Result{Err: err})
	}
}

// do makes one group of requests up and hands it over.
func (w *writer) do(requests []*Request) {
	w.start(len(requests))
	w.now = w.s.cfg.Now()
	for _, r := range requests {
		if !r.Deadline.IsZero() && w.now.After(r.Deadline) {
			w.answer(r, Result{Err: ErrDeadline})
			continue
		}
		w.sequence(r)
	}
	w.handOver(w.apply())
	w.s.queue.putBack(w.deferred)
	w.deferred = w.deferred[:0]
}

func (w *writer) start(requests int) {
	g, _ := w.idle.Get().(*group)
	if g == nil || len(g.touched) > reuseMaps { // a map never shrinks
		g = &group{touched: map[string]struct{}{}}
	}
	g.begin(w.s.db.NewBatch(), requests)
	w.group, w.batch, w.touched, w.spoilt = g, g.batch, g.touched, nil
	if len(w.changed) > reuseMaps || w.changed == nil {
		w.changed, w.ids, w.pendingMeta = make(map[string]*change), make(map[ID]struct{}), make(map[string][]byte)
	}
	w.changes, w.toName = w.changes[:0], namedAtOnce+2*requests
	w.index.reset()
	clear(w.changed)
	clear(w.ids)
	clear(w.pendingMeta)
}

func (w *writer) answer(r *Request, res Result) {
	w.group.answers = append(w.group.answers, answer{r, res})
}

// apply gives the group to pebble, whose log writes and syncs it in the background.
func (w *writer) apply() error {
	for stream, c := range w.changed {
		if c.now != c.before {
			w.index.add(func(b []byte) []byte { return headKey(b, stream) }, func(b []byte) []byte { return c.now.encode(b, stream) })
			w.heads.put(stream, c.now)
		}
	}
	w.index.sort()
	for _, e := range w.index.entries {
		w.set(w.index.key(e), w.index.value(e))
	}
	g := w.group
	g.last = w.last
	if w.spoilt != nil || g.batch.Empty() {
		return w.spoilt
	}
	if w.serving {
		failpoint.Hit(failpoint.StoreBatchBeforeSync)
	}
	g.committing = time.Now()
	w.mu.Lock()
	w.flight = append(w.flight, g)
	w.mu.Unlock()
	return w.s.db.ApplyNoSyncWait(g.batch, pebble.Sync)
}

func (w *writer) handOver(err error) {
	g := w.group
	g.err, w.group, w.batch, w.touched = err, nil, nil, nil
	w.groups <- g
}

// settle waits for a group's sync, publishes it and answers. After a failed one it is unknown what the disk holds, so nothing
// of it and of those behind it is shown, and nothing more is written.
func (w *writer) settle(g *group) {
	err := w.synced(g)
	w.mu.Lock()
	if len(w.flight) > 0 && w.flight[0] == g {
		w.flight = w.flight[:copy(w.flight, w.flight[1:])]
	}
	w.mu.Unlock()
	if err != nil {
		w.failed = err
		w.s.fail(fmt.Errorf("%w: commit: %w", ErrReadOnly, err))
		w.send(g, fmt.Errorf("%w: %w", ErrUnknown, err))
		return
	}
	w.publish(g)
	if w.serving {
		failpoint.Hit(failpoint.StoreBatchBeforeAnswer)
		w.s.cfg.Metrics.batch(g.requests, g.batch.Len(), time.Since(g.began))
	}
	w.send(g, nil)
	if err := g.batch.Close(); err != nil {
		w.s.log.Error("event store: a batch was not closed", "error", err)
		return
	}
	w.idle.Put(g)
}

func (w *writer) synced(g *group) error {
	switch {
	case g.err != nil:
		return g.err
	case w.failed != nil:
		return w.failed
	case g.batch.Empty():
		return nil
	}
	if err := g.batch.SyncWait(); err != nil {
		return err
	}
	w.s.cfg.Metrics.sync(time.Since(g.committing))
	return w.s.mark.raise(g.last)
}

func (w *writer) publish(g *group) {
	if w.s.visible.Load() != g.last {
		w.s.visible.Store(g.last)
		w.s.watch.tell(g.touched)
	}
}

// send gives a group's answers out, once; with an error everybody gets that instead.
func (w *writer) send(g *group, err error) { g.send(w.s.cfg.Metrics, err) }

// giveUp is called while the disk is full. Clients of groups that wait for space learn that the outcome is open, those
// behind them that nothing was written.
func (w *writer) giveUp() {
	w.mu.Lock()
	var stuck []*group
	if len(w.flight) > 0 && time.Since(w.flight[0].committing) > w.s.cfg.patience {
		stuck = append(stuck, w.flight...)
		for _, g := range stuck {
			g.send(w.s.cfg.Metrics, fmt.Errorf("%w: %w", ErrUnknown, ErrFull))
		}
	}
	w.mu.Unlock()
	if stuck != nil {
		w.refuseAll(w.s.queue.take(nil, 1<<30, 1<<30), ErrFull)
	}
}
