package checkpoint_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

var here = checkpoint.Here("m", 2)

// begun is a set of two names whose rows are there: a begins at 5, b at 7.
func begun(t *testing.T, pool *pgxpool.Pool, kind checkpoint.Kind) *checkpoint.Set {
	t.Helper()
	s := checkpoint.NewSet(kind, pool, here, []string{"b", "a"})
	if err := s.Begin(t.Context(), checkpoint.ByName{"a": 5, "b": 7}); err != nil {
		t.Fatal(err)
	}
	if at, err := s.Lowest(t.Context(), []int{0, 1}); err != nil || !maps.Equal(at, map[int]uint64{0: 5, 1: 5}) || s.Farthest(0) != 7 {
		t.Fatalf("begins at %v, the farthest at %d: %v", at, s.Farthest(0), err)
	}
	return s
}

func TestSetsMoveByCompareAndSet(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	for _, kind := range []checkpoint.Kind{checkpoint.Saga, checkpoint.Reactor} {
		s, zombie := begun(t, pool, kind), begun(t, pool, kind)
		move := func(s *checkpoint.Set, p int, after, to uint64) (checkpoint.Move, error) {
			from, err := s.Before(p, after)
			return s.Move(p, from, to), err
		}
		alone := func(s *checkpoint.Set, p int, after, to uint64) error {
			m, err := move(s, p, after, to)
			if err == nil {
				err = s.Alone(t.Context(), m)
			}
			if err == nil {
				s.Moved(m)
			}
			return err
		}
		if err := alone(s, 0, 5, 6); err != nil || s.Farthest(0) != 7 { // b is beyond it, and stays where it is
			t.Errorf("%s: %v, farthest %d", kind, err, s.Farthest(0))
		}
		if err := alone(s, 0, 5, 9); err != nil || s.Farthest(0) != 9 { // what came before comes again
			t.Errorf("%s: events that overlap: %v, farthest %d", kind, err, s.Farthest(0))
		}
		if err := alone(s, 0, 10, 12); !errors.Is(err, checkpoint.ErrFenced) {
			t.Errorf("%s: events after a hole: %v", kind, err)
		}
		if err := alone(zombie, 0, 5, 20); !errors.Is(err, checkpoint.ErrFenced) {
			t.Errorf("%s: a zombie moved it: %v", kind, err)
		}
		// Two partitions in one statement: none moves where one is not where it was.
		first, _ := move(zombie, 0, 5, 30)
		second, _ := move(zombie, 1, 5, 30)
		queue := func(s *checkpoint.Set, moves ...checkpoint.Move) error {
			return pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				var b pgx.Batch
				s.Queue(&b, moves...)
				res := tx.SendBatch(t.Context(), &b)
				tag, err := res.Exec()
				return errors.Join(err, res.Close(), s.Check(tag, moves...))
			})
		}
		if err := queue(zombie, first, second); !errors.Is(err, checkpoint.ErrFenced) {
			t.Errorf("%s: a batch with a zombie's move: %v", kind, err)
		}
		first, _ = move(s, 0, 9, 30)
		second, _ = move(s, 1, 5, 31)
		if err := queue(s, first, second); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if at, err := zombie.Lowest(t.Context(), []int{0, 1}); err != nil || !maps.Equal(at, map[int]uint64{0: 30, 1: 31}) {
			t.Errorf("%s: at %v, %v", kind, at, err)
		}
	}
}

// What was read before a move is not taken for newer than it.
func TestReadingDoesNotMoveASetBack(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	s := begun(t, pool, checkpoint.Saga)
	from, err := s.Before(0, 5)
	if err != nil {
		t.Fatal(err)
	}
	m := s.Move(0, from, 9)
	s.Moved(m) // as while the rows, which are at 5, were on their way
	if _, err := s.Before(0, 9); err != nil {
		t.Errorf("after the move: %v", err)
	}
	if _, err := s.Lowest(t.Context(), []int{0}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Before(0, 9); !errors.Is(err, checkpoint.ErrFenced) {
		t.Errorf("rows that were read after the move count: %v", err)
	}
}

func TestSetsOfAnotherOriginAreRefused(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	begun(t, pool, checkpoint.Reactor)
	for says, other := range map[string]checkpoint.Origin{
		"the checkpoint of reactor a is of incarnation m of the event store, this is incarnation n": {Incarnation: "n", Partitions: 2, Filter: here.Filter},
		"the checkpoint of reactor a counts 2 partitions, this installation 3":                      {Incarnation: "m", Partitions: 3, Filter: here.Filter},
		"was made under filter 1 of what is relayed, this program has filter 2":                     {Incarnation: "m", Partitions: 2, Filter: here.Filter + 1},
	} {
		s := checkpoint.NewSet(checkpoint.Reactor, pool, other, []string{"a"})
		_, read := s.Lowest(t.Context(), []int{0})
		for doing, err := range map[string]error{"begin": s.Begin(t.Context(), nil), "read": read} {
			if _, ok := errors.AsType[*checkpoint.MismatchError](err); !ok || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), checkpoint.Remedy) {
				t.Errorf("%s: %v, want %q", doing, err, says)
			}
		}
	}
}

// A row that is missing was deleted by hand: beginning anew there would act on events a second time.
func TestASetThatLacksARowIsRefused(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	s := begun(t, pool, checkpoint.Saga)
	if _, err := pool.Exec(t.Context(), `delete from daybook.saga_checkpoint where name = 'a' and partition = 1`); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "partition 1 has checkpoints of [b], not of [a b]") {
		t.Errorf("got %v", err)
	}
	if err := checkpoint.Forget(t.Context(), pool, checkpoint.Saga); err != nil {
		t.Fatal(err)
	}
	begun(t, pool, checkpoint.Saga)
}
