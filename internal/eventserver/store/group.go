package store

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// group is one group commit: what was decided together and is written as a whole or not at all.
type group struct {
	batch      *pebble.Batch
	requests   int
	touched    map[string]struct{} // streams with news
	last       uint64              // position of the newest event once it is written
	began      time.Time
	committing time.Time // when pebble got it
	err        error     // pebble did not

	mu      sync.Mutex // guards what follows against giveUp
	answers []answer
	sent    bool
}

type answer struct {
	r   *Request
	res Result
}

func (g *group) begin(batch *pebble.Batch, requests int) {
	clear(g.touched)
	g.mu.Lock()
	g.answers, g.sent = g.answers[:0], false
	g.mu.Unlock()
	g.batch, g.requests, g.began, g.err = batch, requests, time.Now(), nil
}

func (g *group) send(m *Metrics, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sent {
		return
	}
	g.sent = true
	for i := range g.answers {
		a := g.answers[i]
		if err != nil {
			a.res = Result{Err: err}
		}
		m.answered(a.r.arrived)
		a.r.Done(a.res)
	}
	clear(g.answers)
	g.answers = g.answers[:0]
}
