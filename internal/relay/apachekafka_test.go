package relay

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/testenv/apachekafka"
	"github.com/daybook-dev/daybook/internal/topic"
)

// What holds with the embedded broker holds with a real Kafka.
func TestApacheKafka(t *testing.T) {
	s := apachekafka.Start(t)
	var topics atomic.Int32
	fresh := func(t *testing.T) *world {
		return newWorldOn(t, s.Addr(), fmt.Sprintf("events-%d", topics.Add(1)))
	}
	t.Run("in order", func(t *testing.T) {
		w := fresh(t)
		w.append(500)
		r, _ := w.start(w.config())
		w.settled()
		w.append(500)
		if got := w.checkTopic(w.settled()); got != (consumed{}) {
			t.Errorf("a consumer saw %+v", got)
		}
		w.healthy(r)
		other := w.config()
		other.Partitions = testPartitions + 1
		err := topic.Ensure(t.Context(), other.Brokers, other.Topic, other.Partitions)
		if _, ok := errors.AsType[*checkpoint.MismatchError](err); !ok {
			t.Errorf("topic of another N: %v", err)
		}
	})
	t.Run("relays and zombies", func(t *testing.T) {
		if got := chaos(t, 3, fresh, func(*chaotic) {}); got.heals != 0 || got.duplicates == 0 {
			t.Errorf("a consumer saw %+v", got)
		}
	})
	t.Run("records and topics deleted", func(t *testing.T) {
		got := chaos(t, 3, fresh, func(c *chaotic) {
			if c.IntN(2) == 0 {
				c.deleteTopic()
			} else {
				c.deleteRecords(int32(c.IntN(testPartitions)))
			}
		})
		if got.healed == 0 {
			t.Error("nothing was lost: the test disturbed nothing")
		}
	})
	t.Run("latency", func(t *testing.T) {
		w := fresh(t)
		w.start(w.config())
		w.settled()
		p50, p99 := w.latency(100)
		t.Logf("appended to checkpoint readable: p50 %v, p99 %v", p50.Round(10*time.Microsecond), p99.Round(10*time.Microsecond))
	})
}
