package relay

import (
	"errors"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
)

// A store that takes a question and never answers it holds the relay up for as long as one question may take: when it begins, and when it
// goes on after the store was away.
func TestASilentStoreIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(5)
	silent := func() {
		w.log.mu.Lock()
		defer w.log.mu.Unlock()
		w.log.silent = 2
	}
	cfg := w.config()
	cfg.within = 50 * time.Millisecond
	silent()
	w.start(cfg)
	w.settled()
	silent()
	w.log.fail(errors.New("away"))
	w.log.fail(nil)
	w.append(5)
	w.await("an answer to every question", func(topic.State) bool {
		w.log.mu.Lock()
		defer w.log.mu.Unlock()
		return w.log.silent == 0
	})
	w.settled()
}
