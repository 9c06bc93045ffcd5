package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/relay"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// trade places orders one after another, from several buyers at once, until it is told to stop.
type trade struct {
	shop   *market
	placed atomic.Int64
	errs   []error
	mu     sync.Mutex
	stop   context.CancelFunc
	buyers sync.WaitGroup
}

func startTrade(ctx context.Context, s *market, name string) *trade {
	t := &trade{shop: s}
	ctx, t.stop = context.WithCancel(ctx)
	for buyer := range 3 {
		t.buyers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%s-%d-%d", name, buyer, i)
				token, must := "tok_approve", "confirmed"
				if i%5 == 4 {
					token, must = "tok_decline", "rejected"
				}
				// What has begun is brought to its answer.
				finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
				err := s.place(finish, id, token, must, testenv.Line("PLENTY", 1+i%3))
				if err == nil && i%7 == 3 {
					s.mu.Lock()
					s.orders[id] = "cancelled"
					s.mu.Unlock()
					err = s.command(finish, "/v1/orders/"+id+"/cancel", "cancel-"+id, "")
				}
				cancel()
				if err != nil {
					t.mu.Lock()
					t.errs = append(t.errs, err)
					t.mu.Unlock()
					return
				}
				t.placed.Add(1)
				select { // a shop, not a benchmark
				case <-time.After(150 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	return t
}

// more waits until some more orders have been placed.
func (t *trade) more(tb testing.TB, n int64) {
	tb.Helper()
	const within = time.Minute
	want, until := t.placed.Load()+n, time.Now().Add(within)
	for t.placed.Load() < want {
		if time.Now().After(until) {
			tb.Fatalf("only %d orders were placed within %s, not %d more", t.placed.Load(), within, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (t *trade) end(tb testing.TB) {
	tb.Helper()
	t.stop()
	t.buyers.Wait()
	if err := errors.Join(t.errs...); err != nil {
		tb.Error(err)
	}
}

// deleteRecords empties every partition of the topic up to where it ends now.
func deleteRecords(t *testing.T, broker string) (deleted int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewDeleteRecordsRequest()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = relay.DefaultTopic
	for p := range relay.DefaultPartitions {
		one := kmsg.NewDeleteRecordsRequestTopicPartition()
		one.Partition, one.Offset = int32(p), -1 // -1: all there are
		topic.Partitions = append(topic.Partitions, one)
	}
	req.Topics = append(req.Topics, topic)
	req.TimeoutMillis = 5000
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range res.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				t.Fatalf("partition %d: error %d", p.Partition, p.ErrorCode)
			}
			deleted += p.LowWatermark
		}
	}
	return deleted
}

// The topic's records are deleted under a shop that sells, twice, and the broker is killed and an empty one put in its place,
// twice. Everything else goes on.
func TestBrokerLosesEverything(t *testing.T) {
	t.Parallel()
	at, api := address(t), address(t)
	broker := testenv.Options{DataDir: testenv.DataDir(t), Roles: "kafka", Args: []string{"--kafka-listen", at}}
	kafka := testenv.Start(t, broker)
	rest := testenv.Start(t, testenv.Options{
		Roles: "eventstore,postgres,simulator,relay,projections,sagas,reactors,command-api,query-api,gateway",
		Args:  append([]string{"--listen", api, "--kafka", at}, anyPorts()...),
	})
	s := newMarket(api)
	if err := s.stocked(t.Context(), "PLENTY", 1_000_000); err != nil {
		t.Fatal(err)
	}
	trade := startTrade(t.Context(), s, "sold")
	for round := range 2 {
		trade.more(t, 40)
		if n := deleteRecords(t, at); n == 0 {
			t.Error("there were no records to delete")
		} else {
			t.Logf("round %d: records deleted up to %d, after %d orders", round+1, n, trade.placed.Load())
		}
		trade.more(t, 40)
		kafka.Kill()
		died := time.Now()
		trade.more(t, 40) // the shop sells without a broker
		kafka = testenv.Start(t, broker)
		back := time.Now()
		healed(t, s, fmt.Sprintf("after-%d", round))
		t.Logf("round %d: %s without a broker; an order placed after it came back empty was confirmed %s later", round+1,
			back.Sub(died).Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
	}
	examine(t, "--data-dir", rest.DataDir, "--kafka", at, "--settle", "1s") // while it sells
	trade.end(t)
	s.ended(t, 90*time.Second)
	t.Logf("%d orders", len(s.orders))
	s.stillTrue(t)
	r := examine(t, "--data-dir", rest.DataDir, "--kafka", at)
	if !r.AtRest || r.Checked["kafka records"] == 0 || r.Checked["charges"] == 0 {
		t.Errorf("the doctor has not seen all: at rest %t %v, %v", r.AtRest, r.Moving, r.Checked)
	}
	seesABrokenRow(t, rest, "--kafka", at)
}

// seesABrokenRow changes one row behind everybody's back: the doctor must name it, and end in failure.
func seesABrokenRow(t *testing.T, p *testenv.Process, args ...string) {
	t.Helper()
	var at struct {
		Postgres string `json:"postgres"`
	}
	p.Addresses(&at)
	conn, err := pgx.Connect(t.Context(), at.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var schema string
	if err := conn.QueryRow(t.Context(), `select schema_name from daybook.projection_build where projection = 'order_list'`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	tag, err := conn.Exec(t.Context(), `update `+pgx.Identifier{schema, "order_list"}.Sanitize()+` set total = total + 1 where key = 'after-0'`)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
	out, _, err := testenv.Run(t, append([]string{"doctor", "--data-dir", p.DataDir}, args...)...)
	if err == nil || !strings.Contains(out, `I3  "`+schema+`"."order_list" after-0`) || !strings.Contains(out, "column total: expected") {
		t.Errorf("a broken row: %v\n%s", err, out)
	}
}

// healed places an order and waits until its read model shows it confirmed.
func healed(t *testing.T, s *market, id string) {
	t.Helper()
	if err := s.place(t.Context(), id, "tok_approve", "confirmed", testenv.Line("PLENTY", 1)); err != nil {
		t.Fatal(err)
	}
	s.endedOne(t, id, time.Minute)
}

// Two processes of every engine role at once against one set of servers; one is killed while both sell. The other takes over.
func TestOneOfTwoIsKilled(t *testing.T) {
	t.Parallel()
	servers := testenv.Start(t, testenv.Options{Roles: "eventstore,kafka,postgres,simulator", Args: anyPorts()})
	var addresses [2]string
	var process [2]*testenv.Process
	var markets [2]*market
	for i := range process {
		addresses[i] = address(t)
		process[i] = testenv.Start(t, testenv.Options{
			DataDir: servers.DataDir, Roles: "relay,projections,sagas,reactors,command-api,query-api,gateway", Args: []string{"--listen", addresses[i]},
		})
		markets[i] = newMarket(addresses[i])
	}
	if err := markets[0].stocked(t.Context(), "PLENTY", 1_000_000); err != nil {
		t.Fatal(err)
	}
	way := &detour{from: addresses[0], to: addresses[1]}
	markets[0].client.HTTP.Transport = way
	shared(t, process)
	first, second := startTrade(t.Context(), markets[0], "first"), startTrade(t.Context(), markets[1], "second")
	first.more(t, 60)
	second.more(t, 60)

	process[0].Kill()
	killed := time.Now()
	// Buyers of the one that is gone go to the other, with the same keys.
	way.open.Store(true)
	all := make(chan time.Duration, 1)
	go func() { all <- hasAll(process[1], killed.Add(time.Minute)).Sub(killed) }()
	for i := range 24 { // of every partition, most likely
		id := fmt.Sprintf("taken-over-%d", i)
		if err := markets[1].place(t.Context(), id, "tok_approve", "confirmed", testenv.Line("PLENTY", 1)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 24 {
		markets[1].endedOne(t, fmt.Sprintf("taken-over-%d", i), time.Minute)
	}
	confirmed, had := time.Since(killed), <-all
	t.Logf("the other had every partition %s after the death of one of two, and 24 orders placed meanwhile were all confirmed after %s",
		had.Round(time.Millisecond), confirmed.Round(time.Millisecond))
	if had > takeoverWithin {
		t.Errorf("taking over took %s", had)
	}
	second.more(t, 40)
	first.end(t)
	second.end(t)
	for _, s := range markets {
		s.ended(t, 90*time.Second)
		s.stillTrue(t)
	}
	t.Logf("%d orders", len(markets[0].orders)+len(markets[1].orders))
	r := examine(t, "--data-dir", servers.DataDir)
	if !r.AtRest || r.Checked["kafka records"] == 0 || r.Checked["charges"] == 0 {
		t.Errorf("the doctor has not seen all: at rest %t %v, %v", r.AtRest, r.Moving, r.Checked)
	}
}

// shared waits until both processes have partitions of every consumer.
func shared(t *testing.T, process [2]*testenv.Process) {
	t.Helper()
	until := time.Now().Add(time.Minute)
	for {
		missing := ""
		for i, p := range process {
			for _, consumer := range []string{"projections", "sagas", "reactors"} {
				if n := partitionsOf(p.Output(), consumer); n == 0 || n == relay.DefaultPartitions {
					missing = fmt.Sprintf("process %d has %d partitions of %s", i+1, n, consumer)
				}
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(until) {
			t.Fatal(missing)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// hasAll is when a process had been given every partition of every consumer.
func hasAll(p *testenv.Process, until time.Time) time.Time {
	for time.Now().Before(until) {
		said, all := p.Output(), true
		for _, consumer := range []string{"projections", "sagas", "reactors"} {
			all = all && partitionsOf(said, consumer) == relay.DefaultPartitions
		}
		if all {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Now()
}

// partitionsOf is how many partitions a process said last that it was given.
func partitionsOf(output, consumer string) (n int) {
	for line := range strings.Lines(output) {
		if given := assigned(line, consumer); given >= 0 {
			n = given
		}
	}
	return n
}

// assigned is how many partitions a line says that a consumer was given; -1 if it says nothing of the kind.
func assigned(line, consumer string) int {
	var said struct {
		Msg        string `json:"msg"`
		Consumer   string `json:"consumer"`
		Partitions []int  `json:"partitions"`
	}
	const what = "partitions assigned"
	if !strings.Contains(line, what) || json.Unmarshal([]byte(line), &said) != nil || said.Msg != what || said.Consumer != consumer {
		return -1
	}
	return len(said.Partitions)
}

// detour sends requests to another address once it is open, as a balancer does.
type detour struct {
	from, to string
	open     atomic.Bool
}

func (d *detour) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.open.Load() && r.URL.Host == d.from {
		r = r.Clone(r.Context())
		r.URL.Host = d.to
	}
	return http.DefaultTransport.RoundTrip(r)
}
