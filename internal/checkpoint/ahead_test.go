package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

func logOf(t *testing.T, events int) *memory.Store {
	t.Helper()
	store := memory.New()
	for n := range events {
		_, err := store.Append(t.Context(), es.StreamID{Category: "parcel", Key: "A"}, es.Expected(n)-1,
			[]es.Proposed{{ID: es.CommandID("test", "log", "A", string(rune('a'+n))), Type: "parcel.counted", Data: []byte(`{}`), Meta: []byte(`{"schema":1}`)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func TestEveryKindOfCheckpointAheadOfTheLogIsFound(t *testing.T) {
	t.Parallel()
	pool, store := postgrestest.New(t), logOf(t, 5)
	end, err := store.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const beyond, negative = 9_000_000_000_000_000_000, 1<<64 - 1
	_, err = pool.Exec(t.Context(), `
		insert into daybook.relay (position, last, partitions, incarnation) values (`+"9000000000000000000"+`, '{0,0}', 2, 'm');
		insert into daybook.projection_build (projection, version, schema_name, partitions, incarnation, fingerprint) values ('orders', 1, 'b1', 2, 'm', '');
		insert into daybook.projection_group (part, position) values (0, 9000000000000000000), (1, -1);
		insert into daybook.projection_checkpoint (build, part, position) values (1, 0, 9000000000000000000);
		insert into daybook.saga_checkpoint (name, partition, position, partitions, incarnation) values ('placement', 0, -9223372036854775808, 2, 'm'), ('placement', 1, 9000000000000000000, 2, 'm');
		insert into daybook.reactor_checkpoint (name, partition, partitions, incarnation, position) values ('payments', 0, 2, 'm', 9000000000000000000), ('payments', 1, 2, 'm', 2)`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := checkpoint.FindAhead(t.Context(), pool, 0, store.End)
	if err != nil {
		t.Fatal(err)
	}
	want := []checkpoint.Ahead{
		{Kind: checkpoint.Reactor, Name: "payments", Partition: 0, Position: beyond, End: end},
		{Kind: checkpoint.ReadModel, Partition: 0, Position: beyond, End: end},
		{Kind: checkpoint.ReadModel, Name: "orders", Build: 1, Partition: 0, Position: beyond, End: end},
		{Kind: checkpoint.ReadModel, Name: "orders", Build: 1, Partition: 1, Position: negative, End: end},
		{Kind: checkpoint.Relay, Partition: -1, Position: beyond, End: end},
		{Kind: checkpoint.Saga, Name: "placement", Partition: 0, Position: 1 << 63, End: end},
		{Kind: checkpoint.Saga, Name: "placement", Partition: 1, Position: beyond, End: end},
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%v\nwant\n%v", got, want)
	}
	if said := fmt.Sprint(got[3], got[1]); !strings.Contains(said, "is at -1,") || !strings.Contains(said, "group of read models, partition 0") {
		t.Errorf("said: %s", said)
	}
	err = checkpoint.Error(got)
	if !errors.Is(err, checkpoint.ErrAhead) || !strings.Contains(err.Error(), "reactor payments, partition 0") ||
		!strings.Contains(err.Error(), "6 more") || !strings.Contains(err.Error(), "daybook recover") {
		t.Errorf("the error says %q", err)
	}
}

// A checkpoint that moves while the checkpoints are read is not ahead: the end is asked for afterwards.
func TestCheckpointsWithinTheLogAreNotAhead(t *testing.T) {
	t.Parallel()
	pool, store := postgrestest.New(t), logOf(t, 5)
	end, _ := store.End(t.Context())
	if _, err := pool.Exec(t.Context(), `insert into daybook.relay (position, last, partitions, incarnation) values ($1, '{0}', 1, 'm')`, int64(end)); err != nil {
		t.Fatal(err)
	}
	asked := 0
	ask := func(ctx context.Context) (uint64, error) { asked++; return store.End(ctx) }
	for _, known := range []uint64{0, end, 1 << 63} {
		got, err := checkpoint.FindAhead(t.Context(), pool, known, ask)
		if err != nil || len(got) != 0 || checkpoint.Error(got) != nil {
			t.Errorf("known %d: found %v, error %v", known, got, err)
		}
	}
	if asked != 1 {
		t.Errorf("the end was asked for %d times, want once: it was known otherwise", asked)
	}
	down := errors.New("down")
	if _, err := checkpoint.FindAhead(t.Context(), pool, 0, func(context.Context) (uint64, error) { return 0, down }); !errors.Is(err, down) {
		t.Errorf("a store that does not answer: %v", err)
	}
}

func TestHorizonMovesWithWhatIsRead(t *testing.T) {
	t.Parallel()
	store := logOf(t, 5)
	end, _ := store.End(t.Context())
	h := checkpoint.NewHorizon(store)
	for range h.ReadAll(t.Context(), 0) {
		break
	}
	if known := h.Known(); known == 0 || known >= end {
		t.Errorf("after the first of 5 events known is %d, the end is %d", known, end)
	}
	if err := h.Reached(t.Context(), end); err != nil || h.Known() != end {
		t.Errorf("the end itself: %v, known %d", err, h.Known())
	}
	if err := h.Reached(t.Context(), end+1); !errors.Is(err, checkpoint.ErrAhead) {
		t.Errorf("a position beyond the end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Reached(ctx, end); err != nil {
		t.Errorf("a known position needs no answer: %v", err)
	}
}
