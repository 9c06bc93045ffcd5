package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/fleet"
	"github.com/daybook-dev/daybook/internal/testenv/market"
	"github.com/daybook-dev/daybook/kit/es"
)

// TestChaosOnTheWay lets orders through while two relays and consumers of every kind come and go, are killed and frozen, leaders
// change, and records, topics and whole clusters disappear; every record comes three times and not quite in order. However it
// goes: first copies keep their order (I8), revisions have no holes (I2), and read models are the fold of the log (I3).
func TestChaosOnTheWay(t *testing.T) {
	t.Parallel()
	seeds, events := 1, 5_000
	if os.Getenv("DAYBOOK_LONG") != "" {
		seeds, events = 10, 30_000
	}
	for name, into := range map[string]*int{"DAYBOOK_CHAOS_SEEDS": &seeds, "DAYBOOK_CHAOS_EVENTS": &events} {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			*into = n
		}
	}
	for range seeds {
		seed := rand.Uint64()
		if given, err := strconv.ParseUint(os.Getenv("DAYBOOK_SEED"), 10, 64); err == nil {
			seed = given
		}
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) { chaosOnTheWay(t, seed, events, startFakeCluster(t), startFakeCluster(t)) })
	}
}

// TestChaosOnApacheKafka is the same where two brokers of a real Kafka stand on either side.
func TestChaosOnApacheKafka(t *testing.T) {
	relays, consumers := startRealCluster(t), startRealCluster(t)
	seed, events := rand.Uint64(), 5_000
	if os.Getenv("DAYBOOK_LONG") != "" {
		events = 30_000
	}
	chaosOnTheWay(t, seed, events, relays, consumers)
}

func chaosOnTheWay(t *testing.T, seed uint64, events int, relays, consumers cluster) {
	t.Helper()
	c := startChaos(t, seed, relays, consumers)
	ctx, stop := context.WithCancel(t.Context())
	var mirroring sync.WaitGroup
	mirroring.Go(func() { c.mirror.run(ctx) })
	defer func() { stop(); mirroring.Wait() }()

	began := time.Now()
	sold := c.sell(t.Context(), events/eventsPerOrder)
	for !c.dealt || !sold.enough() {
		c.disturb()
	}
	c.publishedAgain()
	sold.end(t)
	c.calm()
	calm := time.Now()
	c.shop.Ended(t, market.EndWithin)
	ended := time.Since(calm)
	r := market.Examine(t, "--data-dir", c.fleet.Dir, "--kafka", c.relays.brokers())
	if !r.AtRest || r.Checked["rows"] == 0 || r.Checked["charges"] == 0 || r.Checked["orders at rest"] != c.shop.Orders() || r.Checked["events"] < events {
		t.Errorf("the doctor has not seen all: at rest %t %v, %v", r.AtRest, r.Moving, r.Checked)
	}
	stop()
	mirroring.Wait()
	messages, copies := c.mirror.firstCopies(c.log())
	// What a cluster that was being replaced did not take was to be carried too: how much that is depends on how fast it comes back.
	if c.mirror.carried == 0 || c.mirror.carried+c.mirror.dropped < 2*messages || c.mirror.moved == 0 || copies == 0 {
		t.Errorf("%d messages with %d copies, %d carried, %d out of order: the test disturbed nothing", messages, copies, c.mirror.carried, c.mirror.moved)
	}
	t.Logf("DAYBOOK_SEED=%d: %d orders, %d events in %s, all ended %s after it was calm; %v; relays published %d messages, %d of them again; consumers were sent %d, %d of them out of order, %d were lost on the way",
		seed, c.shop.Orders(), r.Checked["events"], calm.Sub(began).Round(time.Second), ended.Round(time.Millisecond), c.did, messages, copies, c.mirror.carried, c.mirror.moved, c.mirror.dropped)
}

// eventsPerOrder is about what an order of two lines comes to.
const eventsPerOrder = 11

const (
	consuming = app.RoleProjections + "," + app.RoleSagas + "," + app.RoleReactors
	answering = app.RoleCommandAPI + "," + app.RoleQueryAPI + "," + app.RoleGateway
	// mostConsumers is bounded by what Postgres takes.
	mostConsumers = 3
)

// chaos is a system whose relays publish to one cluster while its consumers read another, and what disturbs it.
type chaos struct {
	*rand.Rand

	t         testing.TB
	fleet     *fleet.Fleet
	relays    cluster // where they publish
	consumers cluster // what they read
	mirror    *mirror
	shop      *market.Market
	points    string // directory of files that name where relays die
	deck      []string
	dealt     bool // every disturbance at least once
	did       map[string]int
	back      sync.WaitGroup
}

func startChaos(t *testing.T, seed uint64, relays, consumers cluster) *chaos {
	t.Helper()
	c := &chaos{Rand: rand.New(rand.NewPCG(seed, 2)), t: t, relays: relays, consumers: consumers, points: t.TempDir(), did: map[string]int{}}
	c.mirror = &mirror{t: t, from: c.relays, to: c.consumers, rng: rand.New(rand.NewPCG(seed, 3))}
	c.fleet = fleet.StartServers(t, nil, app.RoleEventStore, app.RolePostgres, app.RoleSimulator)
	for n := range 2 {
		c.fleet.AddWith([]string{"DAYBOOK_FAILPOINT_FILE=" + c.point(n+1)}, app.RoleRelay, "", "--kafka", c.relays.brokers())
		c.fleet.Add(consuming, "", "--kafka", c.consumers.brokers())
	}
	at := testenv.Address(t)
	c.fleet.Add(answering, at, "--kafka", c.consumers.brokers())
	c.fleet.Ready()
	c.shop = market.New(at)
	return c
}

// selling is orders from several buyers at once, as many as are wanted and more until it ends.
type selling struct {
	want   int64
	placed atomic.Int64
	stop   context.CancelFunc
	all    sync.WaitGroup
	mu     sync.Mutex
	errs   []error
}

func (s *selling) enough() bool { return s.placed.Load() >= s.want }

func (s *selling) end(t testing.TB) {
	t.Helper()
	s.stop()
	s.all.Wait()
	if err := errors.Join(s.errs...); err != nil {
		t.Error(err)
	}
}

func (c *chaos) sell(ctx context.Context, want int) *selling {
	c.t.Helper()
	skus := []string{"A", "B", "C", "D", "E"}
	for _, sku := range skus {
		if err := c.shop.Stocked(ctx, sku, 1_000_000); err != nil {
			c.t.Fatal(err)
		}
	}
	s := &selling{want: int64(want)}
	ctx, s.stop = context.WithCancel(ctx)
	for buyer := range 6 {
		s.all.Go(func() {
			var open []string // orders that may not have ended
			for i := 0; ctx.Err() == nil; i++ {
				finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
				id := fmt.Sprintf("sold-%d-%d", buyer, i)
				token, must := "tok_approve", "confirmed"
				if i%7 == 4 {
					token, must = "tok_decline", "rejected"
				}
				err := c.shop.Place(finish, id, token, must, testenv.Line(skus[i%5], 1+i%3), testenv.Line(skus[(i+1+buyer%3)%5], 1))
				if err == nil && i%6 == 3 && must == "confirmed" {
					c.shop.Must(id, "cancelled")
					err = c.shop.Command(finish, "/v1/orders/"+id+"/cancel", "cancel-"+id, "")
				}
				if open = append(open, id); err == nil && len(open) > mostOpen {
					err = c.shop.Away(finish, open[0])
					open = open[1:]
				}
				cancel()
				if err != nil {
					s.mu.Lock()
					s.errs = append(s.errs, err)
					s.mu.Unlock()
				}
				s.placed.Add(1)
				if s.enough() { // there is chaos left: more slowly
					select {
					case <-time.After(500 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	return s
}

// mostOpen is how many orders a buyer leaves under way: more would show how fast this machine is, and nothing else.
const mostOpen = 60

// disturb does one of what can happen, and waits a little.
func (c *chaos) disturb() {
	if len(c.deck) == 0 {
		c.dealt = len(c.did) > 0
		c.deck = []string{
			"leaders change", "leaders change", "leaders change", "leaders change", "records deleted", "records deleted", "topic deleted", "cluster replaced",
			"consumer killed", "consumer killed", "consumer left", "consumer joined", "consumer frozen", "relay killed", "zombie relay",
		}
		c.Shuffle(len(c.deck), func(i, j int) { c.deck[i], c.deck[j] = c.deck[j], c.deck[i] })
	}
	what := c.deck[0]
	c.deck = c.deck[1:]
	c.did[what]++
	where := []cluster{c.relays, c.consumers}[c.IntN(2)]
	switch what {
	case "leaders change":
		where.changeLeaders()
	case "records deleted":
		for range 3 {
			where.lose(int32(c.IntN(12))) //nolint:gosec // a partition
		}
	case "topic deleted":
		c.mirror.instead(where, where.loseTopic)
	case "cluster replaced":
		c.mirror.instead(where, where.replace)
	case "consumer killed":
		m := c.any(consuming)
		m.Process.Kill()
		c.later(m)
	case "consumer left":
		m := c.any(consuming)
		m.Process.Stop()
		c.later(m)
	case "consumer joined":
		if len(c.fleet.Members[consuming]) < mostConsumers {
			c.back.Go(c.fleet.Add(consuming, "", "--kafka", c.consumers.brokers()).Process.Ready)
		}
	case "consumer frozen": // longer than its session lasts: others work on its partitions when it wakes
		c.freeze(c.any(consuming), 7*time.Second, func() {})
	case "relay killed":
		m, _ := c.fleet.Pair(app.RoleRelay)
		m.Process.Kill()
		c.later(m)
	case "zombie relay": // it wakes up as one that does not know that another has taken over
		m, _ := c.fleet.Pair(app.RoleRelay)
		c.freeze(m, time.Second, c.cutRelays)
	}
	time.Sleep(time.Duration(100+c.IntN(500)) * time.Millisecond)
}

// publishedAgain lets the active relay die between Kafka's acknowledgement and the checkpoint, and waits until the next one has
// published the same messages again.
func (c *chaos) publishedAgain() {
	c.t.Helper()
	c.calm()
	before := c.mirror.again()
	relays := c.fleet.Members[app.RoleRelay]
	died := func() bool {
		return slices.ContainsFunc(relays, func(m *fleet.Member) bool { return m.Process.Killed() })
	}
	c.wait("no relay published anything", died, func() { // another one may become active meanwhile
		active, _ := c.fleet.Pair(app.RoleRelay)
		if err := os.WriteFile(c.point(active.N), []byte(failpoint.PublishAfter), 0o600); err != nil {
			c.t.Fatal(err)
		}
	})
	c.did["relay killed after publishing"]++
	for _, m := range relays {
		_ = os.Remove(c.point(m.N))
	}
	again := func() bool { return c.mirror.again() > before }
	c.wait("what a relay had published when it died was not published again", again, func() {
		for _, m := range relays {
			if m.Process.Killed() {
				m.Begin()
			}
		}
	})
}

// wait does something again and again until a fact is seen, at least once.
func (c *chaos) wait(otherwise string, fact func() bool, again func()) {
	c.t.Helper()
	until := time.Now().Add(time.Minute)
	for again(); !fact(); again() {
		if time.Now().After(until) {
			c.t.Fatal(otherwise)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// point is the file that names where a relay dies.
func (c *chaos) point(relay int) string { return filepath.Join(c.points, strconv.Itoa(relay)) }

// any gives one of a role's processes that is not being started just now.
func (c *chaos) any(role string) *fleet.Member {
	c.back.Wait()
	all := c.fleet.Members[role]
	return all[c.IntN(len(all))]
}

// later starts a process again after a while, and lets it become ready.
func (c *chaos) later(m *fleet.Member) {
	time.Sleep(time.Duration(c.IntN(1000)) * time.Millisecond)
	m.Begin()
	c.back.Go(m.Process.Ready)
}

// freeze stops a process for some time. It begins with what is done to it while it cannot notice.
func (c *chaos) freeze(m *fleet.Member, d time.Duration, meanwhile func()) {
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(m.Process.PID(), s); err != nil {
			c.t.Errorf("%s: %v", m, err)
		}
	}
	signal(syscall.SIGSTOP)
	meanwhile()
	time.Sleep(d)
	signal(syscall.SIGCONT)
}

// cutRelays ends the relays' connections to Postgres, and with them the turn of the one that is active.
func (c *chaos) cutRelays() {
	conn, err := pgx.Connect(c.t.Context(), c.fleet.Addresses().Postgres)
	if err == nil {
		defer func() { _ = conn.Close(context.WithoutCancel(c.t.Context())) }()
		_, err = conn.Exec(c.t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'daybook-relay'`)
	}
	if err != nil {
		c.t.Errorf("ending a relay's turn: %v", err)
	}
}

// calm brings everybody back.
func (c *chaos) calm() {
	c.t.Helper()
	c.back.Wait()
	c.fleet.Ready()
}

// log is all events.
func (c *chaos) log() (all []es.Record) {
	c.t.Helper()
	cfg := app.DefaultConfig()
	cfg.DataDir, cfg.Kafka = c.fleet.Dir, strings.Clone(c.relays.brokers())
	system, err := app.Attach(c.t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatal(err)
	}
	defer system.Close()
	for rec, err := range system.Store.ReadAll(c.t.Context(), 0) {
		if err != nil {
			c.t.Fatal(err)
		}
		if rec.Relayed() {
			all = append(all, rec)
		}
	}
	return all
}
