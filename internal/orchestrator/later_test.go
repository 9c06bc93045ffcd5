package orchestrator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// Rows that owners came to are written together a moment later, the newest of each instance. What cannot be written is forgotten, for its
// instance stays due; until then a look at it is spared.
func TestRowsOfOwnersAreWrittenTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const within = 100 * time.Millisecond
		id := func(key string) es.StreamID { return es.StreamID{Category: "placement", Key: key} }
		began := time.Now()
		wrote := make(chan row, 10)
		l := laterRows{within: within, write: func(_ context.Context, r row) error {
			if time.Since(began) != within {
				t.Errorf("%s was written after %s", r.id, time.Since(began))
			}
			wrote <- r
			if r.id.Key == "held" {
				return errors.New("held")
			}
			return nil
		}}
		for _, r := range []row{{id: id("a"), revision: 1}, {id: id("held"), revision: 7}, {id: id("a"), revision: 2, due: began.Add(time.Minute)}} {
			if err := l.put(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
		for _, c := range []struct {
			revision uint64
			now      time.Time
			covered  bool
		}{{2, began, true}, {1, began, true}, {3, began, false}, {2, began.Add(time.Minute), false}} {
			if got := l.covers(id("a"), c.revision, c.now); got != c.covered {
				t.Errorf("revision %d at %s is covered: %t", c.revision, c.now.Sub(began), got)
			}
		}
		time.Sleep(within)
		synctest.Wait()
		revisions := map[string]uint64{}
		for range len(wrote) {
			r := <-wrote
			revisions[r.id.Key] += r.revision
		}
		if len(revisions) != 2 || revisions["a"] != 2 || revisions["held"] != 7 {
			t.Errorf("written: %v", revisions)
		}
		if l.covers(id("a"), 1, began) || l.covers(id("held"), 1, began) {
			t.Error("what was written, or could not be, is taken for coming")
		}
	})
}
