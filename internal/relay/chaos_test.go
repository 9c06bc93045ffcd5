package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/health"
	"github.com/daybook-dev/daybook/internal/topic"
)

// Two relays that are killed and started again, zombies that publish from an old checkpoint, cut connections to each
// server: on every partition anything after position p is preceded by everything up to p, and ce_prev is true.
func TestPrefixPropertySurvivesRelaysAndZombies(t *testing.T) {
	t.Parallel()
	got := chaos(t, 10, newWorld, func(*chaotic) {})
	if got.heals != 0 {
		t.Errorf("a consumer found %d gaps", got.heals)
	}
	if got.duplicates == 0 {
		t.Error("no relay repeated anything: the test disturbed nothing")
	}
}

// The same while records are deleted and the broker is replaced by an empty one: consumers find gaps, and what heals
// them is all in ce_prev and the checkpoint.
func TestConsumersHealWhateverKafkaLoses(t *testing.T) {
	t.Parallel()
	got := chaos(t, 10, newWorld, func(c *chaotic) {
		switch c.IntN(3) {
		case 0:
			c.replaceBroker()
		case 1:
			c.deleteTopic()
		default:
			c.deleteRecords(int32(c.IntN(testPartitions)))
		}
	})
	if got.healed == 0 {
		t.Error("nothing was lost: the test disturbed nothing")
	}
}

// A cluster whose partitions change their leaders all the while.
func TestLeadersMayChange(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	n := 0
	world := func(t *testing.T) *world {
		n++
		return newWorldOn(t, cluster.ListenAddrs()[0], fmt.Sprintf("events-%d", n))
	}
	if got := chaos(t, 3, world, func(*chaotic) { cluster.ShufflePartitionLeaders() }); got.heals != 0 {
		t.Errorf("a consumer found %d gaps", got.heals)
	}
	// And quietly: a new leader costs milliseconds, not the seconds that kafka-go remembers the old one.
	w := world(t)
	w.start(w.config())
	w.append(20)
	w.settled()
	began := time.Now()
	const changes = 20
	for range changes {
		cluster.ShufflePartitionLeaders()
		w.append(20)
		w.settled()
	}
	t.Logf("%v for a change of leaders and 20 events", (time.Since(began) / changes).Round(time.Millisecond))
	if took := time.Since(began) / changes; took > 4*time.Second { // it remembers for six
		t.Errorf("%v for a change of leaders", took)
	}
}

// chaotic is a world and what disturbs it.
type chaotic struct {
	*world
	*rand.Rand

	conns *connections
}

// chaos gives the sum over some seeds.
func chaos(t *testing.T, seeds int, make func(*testing.T) *world, lose func(*chaotic)) (sum consumed) {
	t.Helper()
	events := 3000
	if n, err := strconv.Atoi(os.Getenv("DAYBOOK_CHAOS_EVENTS")); err == nil {
		events = n
	}
	for range seeds {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			c := &chaotic{make(t), rand.New(rand.NewPCG(seed, 1)), &connections{}}
			got := c.checkTopic(c.run(events, lose))
			t.Logf("%d events, %d takeovers; a consumer saw %+v", c.next, c.epoch(), got)
			sum.duplicates += got.duplicates
			sum.heals += got.heals
			sum.healed += got.healed
		})
	}
	return sum
}

func (c *chaotic) run(events int, lose func(*chaotic)) topic.State {
	cfg := c.config()
	cfg.dial = c.conns.dial
	ctx, stop := context.WithCancel(c.Context())
	disturbing, calm := context.WithCancel(ctx)
	var running sync.WaitGroup
	for range 2 {
		lives := rand.New(rand.NewPCG(c.Uint64(), 2))
		running.Go(func() { c.relive(ctx, disturbing, cfg, lives) })
	}
	for c.next < events {
		c.append(1 + c.IntN(100))
		c.await("the relays keep up", func(s topic.State) bool { return s.Position+1500 >= uint64(c.next)*c.store.Step })
		_ = backoff.Wait(ctx, time.Duration(c.IntN(5))*time.Millisecond)
		switch c.IntN(12) {
		case 0:
			c.conns.cut()
		case 1:
			c.cutPostgres()
		case 2:
			c.log.fail(nil)
		case 3, 4:
			life := time.Duration(c.IntN(100)) * time.Millisecond
			running.Go(func() { c.zombie(ctx, cfg, life) })
		case 5:
			if c.next > events/4 { // something is there to be lost, and something is still to come
				lose(c)
			}
		}
	}
	c.settled()
	lose(c)
	c.append(100)
	calm()
	state := c.settled()
	stop()
	running.Wait()
	return state
}

// relive runs a relay that is killed and started again, with nothing in its memory, as long as it is to be disturbed.
func (c *chaotic) relive(ctx, disturbing context.Context, cfg Config, lives *rand.Rand) {
	for ctx.Err() == nil {
		r, err := New(cfg)
		if err != nil {
			c.Error(err)
			return
		}
		life, end := context.WithCancel(ctx)
		var watch sync.WaitGroup
		if disturbing.Err() == nil {
			wait := time.Duration(lives.IntN(80)) * time.Millisecond
			watch.Go(func() { r.killSoon(life, wait); end() })
		}
		if err := r.Run(life); !errors.Is(err, context.Canceled) {
			c.Errorf("relay ended with %v", err)
		}
		end()
		watch.Wait()
	}
}

// killSoon returns some time after the relay has published something, or when it had long enough.
func (r *Relay) killSoon(ctx context.Context, wait time.Duration) {
	for began := time.Now(); time.Since(began) < time.Second; {
		var events dto.Metric
		if r.state.metrics.events.Write(&events) == nil && events.GetCounter().GetValue() > 0 {
			break
		}
		if backoff.Wait(ctx, time.Millisecond) != nil {
			return
		}
	}
	_ = backoff.Wait(ctx, wait)
}

// zombie is a leader that does not know that it is one no more: it publishes from a checkpoint that was once right, and
// believes that its own writes of it succeed.
func (c *chaotic) zombie(ctx context.Context, cfg Config, life time.Duration) {
	from, err := topic.LoadState(ctx, c.pool)
	if err != nil || from.Partitions == 0 {
		return
	}
	if err := cfg.defaults(); err != nil {
		c.Error(err)
		return
	}
	m, _ := newMetrics(nil)
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	_ = newSession(cfg, newStatus(m, (*health.Board)(nil).Reporter("relay")), from, func(context.Context, topic.State) error { return nil }, untilItEnds).run(ctx)
}

// connections are those to Kafka, to be cut.
type connections struct {
	mu   sync.Mutex
	open []net.Conn
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		c.mu.Lock()
		c.open = append(c.open, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
}
