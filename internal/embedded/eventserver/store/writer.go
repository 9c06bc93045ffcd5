package store

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/mutant"
)

// writer is the one goroutine that changes the store. It takes what waits, checks it against the heads, writes it, syncs
// it, moves the visible position and only then answers anybody: also a wrong version and a repeat show
// what the batch under way contains.
type writer struct {
	s       *Store
	heads   *headCache
	serving bool   // a new directory's first event is no client's: failpoints count from the first that is
	last    uint64 // position of the newest event written
	created int64  // when, in ticks
	stated  int64  // the time that the request under way states, 0: now

	// The batch under way.
	batch       *pebble.Batch
	spoilt      error
	changed     map[string]*change
	touched     map[string]struct{} // streams with news
	ids         map[ID]struct{}     // ids that the id index will hold
	pendingMeta map[string][]byte   // newest data of each metadata stream written
	deferred    []*Request          // must wait for it
	buf         []byte

	mu         sync.Mutex // guards what follows against giveUp
	answers    []answer
	sent       bool
	committing time.Time // when the commit under way began, zero while there is none
}

type answer struct {
	r   *Request
	res Result
}

const (
	batchRequests = 8192
	reuseMaps     = 1024
)

func (w *writer) run() {
	s := w.s
	defer close(s.stopped)
	w.serving = true
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

// do carries out one group commit.
func (w *writer) do(requests []*Request) {
	began := time.Now()
	w.start()
	now := w.s.cfg.Now()
	for _, r := range requests {
		if !r.Deadline.IsZero() && now.After(r.Deadline) {
			w.answer(r, Result{Err: ErrDeadline})
			continue
		}
		w.sequence(r)
	}
	err := w.commit()
	w.finish(err)
	w.s.cfg.Metrics.batch(len(requests), time.Since(began))
	w.s.queue.putBack(w.deferred)
	w.deferred = w.deferred[:0]
}

func (w *writer) start() {
	w.batch = w.s.db.NewBatch()
	w.spoilt = nil
	if len(w.changed) > reuseMaps || w.changed == nil { // a map never shrinks
		w.changed, w.touched = make(map[string]*change), make(map[string]struct{})
		w.ids, w.pendingMeta = make(map[ID]struct{}), make(map[string][]byte)
	}
	clear(w.changed)
	clear(w.touched)
	clear(w.ids)
	clear(w.pendingMeta)
	w.mu.Lock()
	w.answers, w.sent = w.answers[:0], false
	w.mu.Unlock()
}

func (w *writer) answer(r *Request, res Result) {
	w.mu.Lock()
	w.answers = append(w.answers, answer{r, res})
	w.mu.Unlock()
}

// commit makes the batch durable. Pebble ends this goroutine's work by Goexit where it would end the process; the
// inner goroutine lets the writer outlive that.
func (w *writer) commit() error {
	for stream, c := range w.changed {
		if c.now != c.before {
			w.set(headKey(nil, stream), c.now.encode(nil, stream))
		}
	}
	if w.spoilt != nil {
		return w.spoilt
	}
	if w.batch.Empty() {
		return w.batch.Close()
	}
	if w.serving {
		failpoint.Hit(failpoint.StoreBatchBeforeSync)
	}
	began := time.Now()
	w.setCommitting(began)
	defer w.setCommitting(time.Time{})
	if mutant.On(mutant.VisibleBeforeSynced) {
		w.publish()
	}
	if mutant.On(mutant.AnsweredBeforeSynced) {
		w.send(nil)
	}
	options := pebble.Sync
	if mutant.On(mutant.FsyncSkipped) {
		options = pebble.NoSync
	}
	done := make(chan error, 1)
	go func() {
		err := fmt.Errorf("%w: the log could not be written", ErrUnknown)
		defer func() { done <- err }()
		err = w.batch.Commit(options)
	}()
	if err := <-done; err != nil {
		return err
	}
	w.s.cfg.Metrics.sync(time.Since(began))
	if err := w.s.mark.raise(w.last); err != nil {
		return err
	}
	return w.batch.Close()
}

// finish publishes what is synced and answers. After a failed commit nobody can tell what the disk holds, so nothing
// of the batch is shown and nothing more is written.
func (w *writer) finish(err error) {
	if err != nil {
		w.s.fail(fmt.Errorf("%w: commit: %w", ErrReadOnly, err))
		w.send(fmt.Errorf("%w: %w", ErrUnknown, err))
		return
	}
	for stream, c := range w.changed {
		w.heads.put(stream, c.now)
	}
	w.publish()
	if w.serving {
		failpoint.Hit(failpoint.StoreBatchBeforeAnswer)
	}
	w.send(nil)
}

func (w *writer) publish() {
	if w.s.visible.Load() != w.last {
		w.s.visible.Store(w.last)
		w.s.watch.tell(w.touched)
	}
}

// send gives the answers out, once; with an error everybody gets that instead.
func (w *writer) send(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sent {
		return
	}
	w.sent = true
	for i := range w.answers {
		a := w.answers[i]
		if err != nil {
			a.res = Result{Err: err}
		}
		w.s.cfg.Metrics.answered(a.r.arrived)
		a.r.Done(a.res)
	}
	clear(w.answers)
	w.answers = w.answers[:0]
}

func (w *writer) setCommitting(t time.Time) {
	w.mu.Lock()
	w.committing = t
	w.mu.Unlock()
}

// giveUp is called while the disk is full. Clients of a commit that waits for space learn that the outcome is open, those
// behind them that nothing was written.
func (w *writer) giveUp() {
	w.mu.Lock()
	stuck := !w.committing.IsZero() && time.Since(w.committing) > w.s.cfg.patience
	w.mu.Unlock()
	if !stuck {
		return
	}
	w.send(fmt.Errorf("%w: %w", ErrUnknown, ErrFull))
	w.refuseAll(w.s.queue.take(nil, 1<<30, 1<<30), ErrFull)
}
