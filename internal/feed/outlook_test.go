package feed

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

// still is a consumer whose checkpoints do not move.
type still struct{}

func (still) Name() string { return "still" }

func (still) Checkpoints(_ context.Context, partitions []int) (map[int]uint64, error) {
	at := map[int]uint64{}
	for _, p := range partitions {
		at[p] = 0
	}
	return at, nil
}

func (still) Apply(context.Context, int, uint64, []es.Record) error { return nil }
func (still) Own(context.Context, int)                              {}

// Twelve partitions ask for a look that takes 9 s, or fails after as long. They share one: one after the other they would wait for 108 s.
func TestPartitionsShareASlowLook(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]error{"that succeeds": nil, "that fails": errors.New("no connection")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const slow = 9 * time.Second
				looks := 0
				f := &Feed{horizon: checkpoint.NewHorizon(memory.New()), cfg: Config{
					Consumer: still{}, Topic: topic.DefaultName, Idle: time.Second,
					RelayState: func(context.Context) (topic.State, error) {
						looks++
						time.Sleep(slow)
						return topic.State{Origin: checkpoint.Here("memory", topic.DefaultPartitions)}, fails
					},
				}}
				var assigned []kafka.PartitionAssignment
				for p := range topic.DefaultPartitions {
					assigned = append(assigned, kafka.PartitionAssignment{ID: p})
				}
				g := newGeneration(f, &kafka.Generation{Assignments: map[string][]kafka.PartitionAssignment{f.cfg.Topic: assigned}})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began := time.Now()
				go g.look(ctx)
				answers := map[int]<-chan outlook{}
				for p := range topic.DefaultPartitions {
					time.Sleep(10 * time.Millisecond)
					answers[p] = g.ask(began)
				}
				for _, p := range slices.Sorted(maps.Keys(answers)) {
					if o := <-answers[p]; !errors.Is(o.err, fails) {
						t.Errorf("partition %d was answered %v, want %v", p, o.err, fails)
					}
				}
				if waited := time.Since(began); looks != 1 || waited > slow+time.Second {
					t.Errorf("%d partitions waited for %d looks, the last of them %s", len(answers), looks, waited)
				}
				moved := time.Now()
				time.Sleep(time.Millisecond)
				if o := <-g.ask(moved); looks != 2 || !o.began.After(moved) {
					t.Errorf("after a checkpoint was moved it was answered what was read before: %d looks", looks)
				}
			})
		})
	}
}
