package reader

import (
	"context"
	"iter"
	"strconv"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// endless is a log of orders' events, one a second.
type endless struct{ es.Log }

func (endless) ReadAll(_ context.Context, after uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		for at := after + 1; yield(es.Record{Position: at, Type: "order.placed", Created: time.Unix(int64(at), 0), Stream: es.StreamID{Category: "order", Key: strconv.FormatUint(at, 10)}}, nil); at++ { //nolint:gosec // a few
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
		l := Lags{Head: tt.head, Models: []ModelLag{{Name: "orders", Parts: []PartitionLag{{Position: 100}}}, {Name: "none"}}}
		err := l.measure(t.Context(), endless{}, 100, [][]uint64{{100}, {}}, []uint64{tt.head})
		one := l.Models[0].Parts[0]
		if err != nil || l.All != tt.all || one.Events != tt.events || tt.events > 0 && !one.Oldest.Equal(time.Unix(101, 0)) {
			t.Errorf("up to %d: %+v, all %t, %v", tt.head, one, l.All, err)
		}
	}
}

// A read model that stalls is found also while another one is so far behind that not all of the log is counted.
func TestAStallBesideAReadModelThatIsFarBehind(t *testing.T) {
	t.Parallel()
	const head = 100_000_000
	reached := [][]uint64{{100}, {50_000_000}, {head - 1}, {head}}
	l := Lags{Head: head}
	for i, name := range []string{"far", "stalled", "busy", "current"} {
		l.Models = append(l.Models, ModelLag{Name: name, Parts: []PartitionLag{{Position: reached[i][0]}}})
	}
	if err := l.measure(t.Context(), endless{}, 100, reached, []uint64{head}); err != nil || l.All {
		t.Errorf("all %t, %v", l.All, err)
	}
	for i, want := range []struct{ events, oldest int64 }{{countedAtMost + countedBeyond + 1, 101}, {countedBeyond + 1, 50_000_001}, {1, head}, {0, 0}} {
		one := l.Models[i].Parts[0]
		if one.Events != int(want.events) || want.events > 0 && !one.Oldest.Equal(time.Unix(want.oldest, 0)) {
			t.Errorf("%s: %+v, want %+v", l.Models[i].Name, one, want)
		}
	}
}
