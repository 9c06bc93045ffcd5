package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

func TestEverythingReachesKafkaInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(300) // a store with a history
	r, stop := w.start(w.config())
	w.settled()
	w.append(300)
	state := w.settled()
	if got := w.checkTopic(state); got != (consumed{}) {
		t.Errorf("without any fault a consumer saw %+v", got)
	}
	if !r.Active() || r.Health() != nil {
		t.Errorf("active %v, health %v", r.Active(), r.Health())
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
	_, _ = w.start(w.config()) // and on from the checkpoint
	w.append(50)
	if got := w.checkTopic(w.settled()); got != (consumed{}) {
		t.Errorf("after an orderly stop a consumer saw %+v", got)
	}
}

func TestAnEventTooLargeForABatchGoesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(10)
	w.appendTo(es.StreamID{Category: "order", Key: "large"}, strings.Repeat("x", 1_000_000))
	w.append(10)
	cfg := w.config()
	cfg.BatchBytes, cfg.BufferBytes = 900_000, 900_000
	w.start(cfg)
	w.checkTopic(w.settled())
}

func TestATopicThatTakesLessGetsSmallerBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, done := w.client()
	defer done()
	res, err := c.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: w.topic, NumPartitions: testPartitions, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "max.message.bytes", ConfigValue: "2000"}}}}})
	if err = errors.Join(err, res.Errors[w.topic]); err != nil {
		t.Fatal(err)
	}
	w.append(200)
	w.start(w.config())
	if got := w.checkTopic(w.settled()); got.heals != 0 {
		t.Errorf("a consumer saw %+v", got)
	}
}

func TestOneIsActiveAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, stop := w.start(w.config())
	w.append(20)
	w.settled()
	second, _ := w.start(w.config())
	w.append(20)
	w.settled()
	if !first.Active() || second.Active() || second.Health() != nil {
		t.Errorf("active: first %v, second %v; health of the second %v", first.Active(), second.Active(), second.Health())
	}
	_ = stop()
	began := time.Now()
	w.append(20)
	state := w.settled()
	t.Logf("taken over and caught up in %v", time.Since(began).Round(time.Millisecond))
	if !second.Active() {
		t.Error("the second is not active")
	}
	if got := w.checkTopic(state); got != (consumed{}) {
		t.Errorf("a consumer saw %+v", got)
	}
}

// A leader that was asleep while another took over cannot write any more, and finds out.
func TestAnExLeaderIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(10)
	ctx := t.Context()
	cfg := w.config()
	if err := cfg.defaults(); err != nil {
		t.Fatal(err)
	}
	incarnation, _ := w.store.Incarnation(ctx)
	old, err := waitForTurn(ctx, cfg, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer old.end()
	from, err := old.takeOver(ctx, testPartitions, incarnation)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.conn.Exec(ctx, `select pg_advisory_unlock_all()`); err != nil { // as if the lock were gone, and the connection not
		t.Fatal(err)
	}
	w.start(w.config())
	state := w.settled()
	for _, at := range []topic.State{from, state, {Position: state.Position + 9, Last: state.Last}} {
		if err := old.save(ctx, at); !errors.Is(err, errFenced) {
			t.Errorf("an ex-leader's write of %d: %v", at.Position, err)
		}
	}
	if now, _ := topic.LoadState(ctx, w.pool); now.Position != state.Position {
		t.Errorf("the checkpoint moved to %d", now.Position)
	}
}

func TestTheCheckpointNeverMovesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	cfg := w.config()
	if err := cfg.defaults(); err != nil {
		t.Fatal(err)
	}
	turn, err := waitForTurn(ctx, cfg, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer turn.end()
	if _, err := turn.takeOver(ctx, 2, "i"); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	if err := turn.save(ctx, topic.State{Position: 7, Last: []uint64{7, 5}, CaughtUpAt: at}); err != nil {
		t.Fatal(err)
	}
	if err := turn.save(ctx, topic.State{Position: 6, Last: []uint64{5, 6}}); err == nil {
		t.Error("moved back")
	}
	if err := turn.save(ctx, topic.State{Position: 7, Last: []uint64{7, 5}, CaughtUpAt: at.Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	got, err := topic.LoadState(ctx, w.pool)
	if err != nil || got.Position != 7 || !slices.Equal(got.Last, []uint64{7, 5}) || !got.CaughtUpAt.Equal(at) || got.Incarnation != "i" {
		t.Errorf("state %+v, %v", got, err)
	}
	if _, err := w.pool.Exec(ctx, `update daybook.relay set position = 8`); err != nil { // by other means
		t.Fatal(err)
	}
	if err := turn.save(ctx, topic.State{Position: 9, Last: []uint64{7, 9}}); !errors.Is(err, errFenced) {
		t.Errorf("wrote over what others wrote: %v", err)
	}
}

func TestWhatDoesNotBelongTogetherRefusesToStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(10)
	_, stop := w.start(w.config())
	w.settled()
	_ = stop()
	refused := func(name string, cfg Config, want string) {
		t.Helper()
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = r.Run(ctx)
		if _, ok := errors.AsType[*checkpoint.MismatchError](err); !ok || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "daybook recover") {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := w.config()
	other.Partitions = 5
	refused("other N", other, "4 partitions, this installation 5")

	if _, err := w.pool.Exec(t.Context(), `update daybook.relay set filter = filter + 1`); err != nil {
		t.Fatal(err)
	}
	refused("another filter", w.config(), "under filter 2 of what is relayed, this program has filter 1")
	if _, err := w.pool.Exec(t.Context(), `update daybook.relay set filter = filter - 1`); err != nil {
		t.Fatal(err)
	}

	w.log.replace("another-history")
	refused("other incarnation", w.config(), "another-history")
	w.log.replace("")

	if _, err := w.pool.Exec(t.Context(), `update daybook.relay set position = position + 1000`); err != nil {
		t.Fatal(err)
	}
	refused("events missing in the store", w.config(), "events are missing")

	if _, err := w.pool.Exec(t.Context(), `delete from daybook.relay`); err != nil {
		t.Fatal(err)
	}
	other = w.config()
	other.Partitions = 5
	refused("topic of another N", other, "topic events has 4 partitions")
}

func TestResetBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(100)
	_, stop := w.start(w.config())
	w.settled()
	reset := func() error {
		return Alone(t.Context(), w.pool, func(conn *pgx.Conn) error {
			return errors.Join(topic.Delete(t.Context(), []string{w.kafka}, w.topic),
				pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error { return Forget(t.Context(), tx) }))
		})
	}
	if err := reset(); !errors.Is(err, errTaken) {
		t.Errorf("beside an active relay: %v", err)
	}
	_ = stop()
	w.log.replace("after-a-restore")
	if err := errors.Join(reset(), reset()); err != nil { // twice does no harm
		t.Fatal(err)
	}
	w.start(w.config())
	state := w.settled()
	if state.Incarnation != "after-a-restore" {
		t.Errorf("incarnation %s", state.Incarnation)
	}
	if got := w.checkTopic(state); got != (consumed{}) {
		t.Errorf("a consumer saw %+v", got)
	}
}

func TestAStoreReplacedWhileRunningStopsTheRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(10)
	r, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(t.Context()) }()
	w.settled()
	w.log.replace("another-history")
	select {
	case err := <-done:
		if _, ok := errors.AsType[*checkpoint.MismatchError](err); !ok {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("goes on with another history")
	}
}

func TestAnEmptyBrokerGetsTheTopicAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(200)
	r, _ := w.start(w.config())
	before := w.settled()
	w.replaceBroker()
	w.append(200)
	state := w.settled()
	got := w.checkTopic(state)
	if got.healed == 0 || got.duplicates != 0 {
		t.Errorf("a consumer saw %+v", got)
	}
	for p, messages := range w.topicNow() {
		if len(messages) > 0 && messages[0].Prev != before.Last[p] {
			t.Errorf("partition %d begins again after %d, it was at %d", p, messages[0].Prev, before.Last[p])
		}
	}
	w.healthy(r)
}

func (w *world) healthy(r *Relay) {
	w.Helper()
	deadline := time.Now().Add(time.Minute)
	for r.Health() != nil && time.Now().Before(deadline) {
		_ = backoff.Wait(w.Context(), time.Millisecond)
	}
	if err := r.Health(); err != nil {
		w.Errorf("health: %v", err)
	}
}

func TestOutagesAreWaitedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(50)
	var refuse atomic.Bool
	cfg := w.config()
	var open []net.Conn
	lock := make(chan struct{}, 1)
	cfg.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if refuse.Load() {
			return nil, errors.New("refused")
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			lock <- struct{}{}
			open = append(open, c)
			<-lock
		}
		return c, err
	}
	r, _ := w.start(cfg)
	w.settled()

	refuse.Store(true) // Kafka
	lock <- struct{}{}
	for _, c := range open {
		_ = c.Close()
	}
	<-lock
	w.append(50)
	w.unhealthy(r, "partition")
	refuse.Store(false)
	w.settled()
	w.healthy(r)

	w.log.fail(errors.New("store is away")) // event store
	w.append(50)
	w.unhealthy(r, "store is away")
	w.log.fail(nil)
	w.settled()
	w.healthy(r)

	w.cutPostgres() // Postgres
	w.append(50)
	state := w.settled()
	w.healthy(r)
	w.checkTopic(state)
}

func (w *world) cutPostgres() {
	w.Helper()
	if _, err := w.pool.Exec(w.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where application_name = 'daybook-relay' and datname = current_database()`); err != nil {
		w.Fatal(err)
	}
}

// A relay whose connection is closed while it rests notices at once, and takes its place again.
func TestARestingRelayNoticesThatItsLockIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config()
	cfg.IdleEvery = time.Hour // it has nothing to write
	w.start(cfg)
	w.append(5)
	w.settled()
	before := w.epoch()
	w.cutPostgres()
	w.await("another epoch", func(topic.State) bool { return w.epoch() > before })
}

func (w *world) unhealthy(r *Relay, want string) {
	w.Helper()
	deadline := time.Now().Add(time.Minute)
	err := r.Health()
	for (err == nil || !strings.Contains(err.Error(), want)) && time.Now().Before(deadline) {
		_ = backoff.Wait(w.Context(), time.Millisecond)
		err = r.Health()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		w.Errorf("health does not name %q: %v", want, err)
	}
}

// On an idle store the relay goes on saying that it has caught up, and never says so of a time whose events it lacks.
func TestCaughtUpMovesOnWhenIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(w.config())
	empty := w.await("caught up on an empty store", func(s topic.State) bool { return !s.CaughtUpAt.IsZero() })
	w.append(5)
	first := w.settled()
	w.await("caught up later on", func(s topic.State) bool { return s.CaughtUpAt.After(first.CaughtUpAt.Add(50 * time.Millisecond)) })
	if !first.CaughtUpAt.After(empty.CaughtUpAt) || first.CaughtUpAt.After(time.Now()) {
		t.Errorf("caught up at %v, then at %v; it is %v", empty.CaughtUpAt, first.CaughtUpAt, time.Now())
	}
}

// A relay that rests looks as soon as it is asked to.
func TestARestingRelayLooksWhenItIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config()
	cfg.IdleEvery = time.Hour
	w.start(cfg)
	w.append(5)
	w.settled()
	now := time.Now()
	w.await("caught up later on", func(s topic.State) bool {
		if _, err := w.pool.Exec(t.Context(), `select pg_notify($1, '')`, topic.Wanted); err != nil {
			t.Fatal(err)
		}
		return s.CaughtUpAt.After(now)
	})
}

// untilItEnds is a connection that is never closed.
func untilItEnds(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }

func (w *world) incarnation() string {
	w.Helper()
	id, err := w.store.Incarnation(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return id
}

func TestLatencyIsThatOfTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config()
	cfg.Registerer = prometheus.NewRegistry()
	w.start(cfg)
	w.append(5)
	w.settled()
	p50, p99 := w.latency(200)
	t.Logf("appended to checkpoint readable: p50 %v, p99 %v", p50.Round(10*time.Microsecond), p99.Round(10*time.Microsecond))
	if p50 > 100*time.Millisecond {
		t.Error("something waits")
	}
}

// latency is that from an append to the checkpoint that holds it.
func (w *world) latency(n int) (p50, p99 time.Duration) {
	w.Helper()
	var took []time.Duration
	for i := range n {
		position := w.appendTo(es.StreamID{Category: "order", Key: fmt.Sprint("L", i)}, `{}`)
		began := time.Now()
		for {
			s, err := topic.LoadState(w.Context(), w.pool)
			if err != nil {
				w.Fatal(err)
			}
			if s.Position >= position {
				break
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[n/2], took[n*99/100]
}
