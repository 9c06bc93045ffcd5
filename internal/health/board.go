package health

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/beat"
)

// Board is the health of a process. A nil *Board gives reporters that no one else sees.
type Board struct {
	log *slog.Logger

	mu        sync.Mutex
	reporters []*Reporter
}

// New gives an empty board, which is not ready. It logs the outages of its reporters to log, or not at all if that is nil.
func New(log *slog.Logger) *Board {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Board{log: log}
}

// Reporter gives the reporter of a name, and makes it if there is none.
func (b *Board) Reporter(name string) *Reporter {
	if b == nil {
		return newReporter(name, slog.New(slog.DiscardHandler))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.reporters {
		if r.name == name {
			return r
		}
	}
	r := newReporter(name, b.log)
	b.reporters = append(b.reporters, r)
	return r
}

// Verdict is one reporter at one moment.
type Verdict struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Starting says that nothing has failed, but something has not done its work for the first time.
	Starting bool       `json:"starting,omitempty"`
	Error    string     `json:"error,omitempty"`
	Since    *time.Time `json:"since,omitempty"`    // when the outage began
	Failures int        `json:"failures,omitempty"` // since then
}

// pollWithin bounds one poll. A probe that has no answer by then has failed.
const pollWithin = 2 * time.Second

// Ask looks at every reporter at once. ready is whether all are well; a board without reporters is not ready. The end of ctx
// does not cut a poll short: a client that leaves must not turn a probe red.
func (b *Board) Ask(ctx context.Context) (all []Verdict, ready bool) {
	b.mu.Lock()
	reporters := b.reporters
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollWithin)
	defer cancel()
	all, ready = make([]Verdict, len(reporters)), len(reporters) > 0
	var asking sync.WaitGroup
	for i, r := range reporters {
		asking.Go(func() { all[i] = r.ask(ctx) })
	}
	asking.Wait()
	for _, v := range all {
		ready = ready && v.OK
	}
	return all, ready
}

// Watch polls until ctx ends, so that outages are logged although no one asks.
func (b *Board) Watch(ctx context.Context, every time.Duration) {
	for beat.Wait(ctx, every) == nil {
		b.Ask(ctx)
	}
}
