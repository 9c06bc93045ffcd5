package crash_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/fleet"
	"github.com/daybook-dev/daybook/internal/testenv/market"
	"github.com/daybook-dev/daybook/internal/topic"
)

// deleteRecords empties every partition of the topic up to where it ends now.
func deleteRecords(t *testing.T, broker string) (deleted int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewDeleteRecordsRequest()
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic = topic.DefaultName
	for p := range topic.DefaultPartitions {
		one := kmsg.NewDeleteRecordsRequestTopicPartition()
		one.Partition, one.Offset = int32(p), -1 // -1: all there are
		of.Partitions = append(of.Partitions, one)
	}
	req.Topics = append(req.Topics, of)
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
	at, api := testenv.Address(t), testenv.Address(t)
	broker := testenv.Options{DataDir: testenv.DataDir(t), Roles: "kafka", Args: []string{"--kafka-listen", at}}
	kafka := testenv.Start(t, broker)
	rest := testenv.Start(t, testenv.Options{
		Roles: "eventstore,postgres,simulator,relay,projections,sagas,reactors,command-api,query-api,gateway",
		Args:  append([]string{"--listen", api, "--kafka", at}, testenv.AnyPorts()...),
	})
	s := market.New(api)
	if err := s.Stocked(t.Context(), "PLENTY", 1_000_000); err != nil {
		t.Fatal(err)
	}
	trade := market.StartTrade(t.Context(), s, "sold")
	for round := range 2 {
		trade.More(t, 40)
		if n := deleteRecords(t, at); n == 0 {
			t.Error("there were no records to delete")
		} else {
			t.Logf("round %d: records deleted up to %d, after %d orders", round+1, n, trade.Placed.Load())
		}
		trade.More(t, 40)
		kafka.Kill()
		died := time.Now()
		trade.More(t, 40) // the shop sells without a broker
		kafka = testenv.Start(t, broker)
		back := time.Now()
		healed(t, s, fmt.Sprintf("after-%d", round))
		t.Logf("round %d: %s without a broker; an order placed after it came back empty was confirmed %s later", round+1,
			back.Sub(died).Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
	}
	market.Examine(t, "--data-dir", rest.DataDir, "--kafka", at, "--settle", "1s") // while it sells
	trade.End(t)
	s.Ended(t, 90*time.Second)
	t.Logf("%d orders", s.Orders())
	s.StillTrue(t)
	r := market.Examine(t, "--data-dir", rest.DataDir, "--kafka", at)
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
func healed(t *testing.T, s *market.Market, id string) {
	t.Helper()
	if err := s.Place(t.Context(), id, "tok_approve", "confirmed", testenv.Line("PLENTY", 1)); err != nil {
		t.Fatal(err)
	}
	s.EndedOne(t, id, time.Minute)
}

// Two processes of every engine role at once against one set of servers; one is killed while both sell. The other takes over.
func TestOneOfTwoIsKilled(t *testing.T) {
	t.Parallel()
	servers := testenv.Start(t, testenv.Options{Roles: "eventstore,kafka,postgres,simulator", Args: testenv.AnyPorts()})
	var addresses [2]string
	var process [2]*testenv.Process
	var markets [2]*market.Market
	for i := range process {
		addresses[i] = testenv.Address(t)
		process[i] = testenv.Start(t, testenv.Options{
			DataDir: servers.DataDir, Roles: "relay,projections,sagas,reactors,command-api,query-api,gateway", Args: []string{"--listen", addresses[i]},
		})
		markets[i] = market.New(addresses[i])
	}
	if err := markets[0].Stocked(t.Context(), "PLENTY", 1_000_000); err != nil {
		t.Fatal(err)
	}
	way := &detour{from: addresses[0], to: addresses[1]}
	markets[0].Client.HTTP.Transport = way
	shared(t, process)
	first, second := market.StartTrade(t.Context(), markets[0], "first"), market.StartTrade(t.Context(), markets[1], "second")
	first.More(t, 60)
	second.More(t, 60)

	process[0].Kill()
	killed := time.Now()
	// Buyers of the one that is gone go to the other, with the same keys.
	way.open.Store(true)
	all := make(chan time.Duration, 1)
	go func() { all <- process[1].HasAll(killed.Add(time.Minute)).Sub(killed) }()
	for i := range 24 { // of every partition, most likely
		id := fmt.Sprintf("taken-over-%d", i)
		if err := markets[1].Place(t.Context(), id, "tok_approve", "confirmed", testenv.Line("PLENTY", 1)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 24 {
		markets[1].EndedOne(t, fmt.Sprintf("taken-over-%d", i), time.Minute)
	}
	confirmed, had := time.Since(killed), <-all
	t.Logf("the other had every partition %s after the death of one of two, and 24 orders placed meanwhile were all confirmed after %s",
		had.Round(time.Millisecond), confirmed.Round(time.Millisecond))
	if had > fleet.TakeoverWithin {
		t.Errorf("taking over took %s", had)
	}
	second.More(t, 40)
	first.End(t)
	second.End(t)
	for _, s := range markets {
		s.Ended(t, 90*time.Second)
		s.StillTrue(t)
	}
	t.Logf("%d orders", markets[0].Orders()+markets[1].Orders())
	r := market.Examine(t, "--data-dir", servers.DataDir)
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
				if n := testenv.PartitionsOf(p.Output(), consumer); n == 0 || n == topic.DefaultPartitions {
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
