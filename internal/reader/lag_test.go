package reader

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// endless is a log of orders' events, one a second.
type endless struct{ es.Log }

func (endless) ReadAll(_ context.Context, after uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		for at := after + 1; yield(es.Record{Position: at, Type: "order.placed", Created: time.Unix(int64(at), 0), Stream: es.StreamID{Category: "order", Key: fmt.Sprint(at)}}, nil); at++ { //nolint:gosec // a few
		}
	}
}

// A long way behind the head no more is read than is worth it, and it is said that there may be more.
func TestLagIsCountedUpToABound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		head   uint64
		all    bool
		events int
	}{{100 + countedAtMost, true, countedAtMost}, {101 + countedAtMost, false, countedAtMost}, {100_000_000, false, countedAtMost}, {100, true, 0}, {7, true, 0}} {
		l := Lags{Head: tt.head, Models: []ModelLag{{Name: "orders", Parts: make([]PartitionLag, 1)}, {Name: "none"}}}
		all, err := l.count(t.Context(), endless{}, 100, [][]uint64{{100}, {}})
		one := l.Models[0].Parts[0]
		if err != nil || all != tt.all || one.Events != tt.events || tt.events > 0 && !one.Oldest.Equal(time.Unix(101, 0)) {
			t.Errorf("up to %d: %+v, all %t, %v", tt.head, one, all, err)
		}
	}
}
