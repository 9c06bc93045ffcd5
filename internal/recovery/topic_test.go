package recovery_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/daybook-dev/daybook/internal/kafkaread/kafkareadtest"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/recovery"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/topic/topictest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

const (
	partitions  = 3
	incarnation = "memory"
)

type store struct{ *memory.Store }

func (store) Lineage(context.Context) (ids []string, began []uint64, err error) {
	return []string{incarnation}, []uint64{0}, nil
}

func storeOf(t *testing.T, events int) store {
	t.Helper()
	s := store{memory.New()}
	for n := range events {
		key := fmt.Sprint("k", n)
		_, err := s.Append(t.Context(), es.StreamID{Category: "order", Key: key}, es.NoStream, []es.Proposed{{
			ID: es.CommandID("test", "record", key, "1"), Type: "order.placed", Data: fmt.Appendf(nil, `{"number":"%d"}`, 1000+n), Meta: []byte(`{"schema":1}`),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// What anybody who may write to the topic puts there makes neither a start nor a recovery believe that the topic is ahead of the store or
// of another one, and does not hide that it is.
func TestOnlyGenuineMessagesTellHowFarTheTopicIs(t *testing.T) {
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	addr := broker.ListenAddrs()[0]
	if err := topic.Ensure(t.Context(), []string{addr}, topic.DefaultName, partitions); err != nil {
		t.Fatal(err)
	}
	keys, whole := topictest.Keys(t), storeOf(t, 30)
	var last [partitions]uint64
	newest := map[int]kafka.Message{}
	for _, rec := range whole.All(0) {
		p := topic.PartitionOf(rec.Stream.Partition(), partitions)
		m := topictest.Message(t, keys, topic.DefaultName, p, rec, last[p], incarnation)
		produce(t, addr, m)
		last[p], newest[p] = rec.Position, m
	}
	if len(newest) != partitions {
		t.Fatalf("messages on %d partitions only", len(newest))
	}
	for p, genuine := range newest {
		var hostile []kafka.Message
		for _, a := range topictest.Attacks(t, genuine, partitions) {
			if a.Reason != "" {
				hostile = append(hostile, a.Message)
			}
		}
		produce(t, addr, hostile...)
		for _, b := range kafkareadtest.Broken(t) {
			kafkareadtest.Produce(t, addr, topic.DefaultName, p, b)
		}
	}
	diagnose := func(s store, keys *topic.Keys) *recovery.Plan {
		t.Helper()
		plan, err := recovery.Diagnose(t.Context(), recovery.Config{
			Store: s, Pool: postgrestest.New(t), Brokers: []string{addr}, Partitions: partitions, Keys: keys,
		})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	for name, k := range map[string]*topic.Keys{"with the key": keys, "with another key": topictest.Keys(t, 'x'), "without a key": nil} {
		if plan := diagnose(whole, k); len(plan.Troubles) > 0 {
			t.Errorf("%s: nothing disagrees, yet %v", name, plan.Err())
		}
	}
	end, err := whole.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cut := storeOf(t, 20)
	plan := diagnose(cut, keys)
	if want := fmt.Sprintf("holds event %d, but the log ends at", end); len(plan.Troubles) != 1 || !strings.Contains(plan.Err().Error(), want) {
		t.Errorf("the log has lost its end, hidden behind what others wrote: %v, want %q", plan.Err(), want)
	}
	lost, err := recovery.LostEvents(t.Context(), recovery.Config{Brokers: []string{addr}, Partitions: partitions, Keys: keys}, plan)
	if err != nil || len(lost) != 10 || lost[0].Position != 21 || lost[9].Position != end {
		t.Errorf("the last ten events were lost; found %v, %v", lost, err)
	}
}

func produce(t *testing.T, addr string, messages ...kafka.Message) {
	t.Helper()
	for _, m := range messages {
		topictest.Produce(t, addr, m.Partition, m)
	}
}
