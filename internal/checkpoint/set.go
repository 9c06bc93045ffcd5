package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrFenced says that another worker moved a checkpoint: whatever was cached about the partition is stale.
var ErrFenced = errors.New("checkpoint was moved by another worker")

// Set is the checkpoints of all sagas, or of all reactors, of a process: one for each name and partition.
type Set struct {
	kind   Kind
	pool   *pgxpool.Pool
	origin Origin
	names  []string

	mu    sync.Mutex
	at    map[int]ByName // by partition, as last read or moved here
	moves map[int]int    // by partition: how often they were moved here
}

// ByName are the checkpoints of one partition, by name.
type ByName map[string]uint64

// NewSet gives the set of some names. Begin makes its rows.
func NewSet(kind Kind, pool *pgxpool.Pool, origin Origin, names []string) *Set {
	return &Set{kind: kind, pool: pool, origin: origin, names: slices.Sorted(slices.Values(names)), at: map[int]ByName{}, moves: map[int]int{}}
}

// table has a row for each checkpoint. Those of sagas and of reactors are apart, so that a lock on one holds up no others.
func (k Kind) table() string {
	return map[Kind]string{Saga: "daybook.saga_checkpoint", Reactor: "daybook.reactor_checkpoint"}[k]
}

// Begin makes the rows of each name that has none, at its first position, and refuses those of another origin. It is called before anything
// serves.
func (s *Set) Begin(ctx context.Context, first ByName) error {
	for _, name := range s.names {
		err := s.begin(ctx, name, first[name])
		if err != nil {
			return fmt.Errorf("%s %s: make its checkpoints: %w", s.kind, name, err)
		}
	}
	all := make([]int, s.origin.Partitions)
	for p := range all {
		all[p] = p
	}
	_, err := s.load(ctx, all)
	return err
}

func (s *Set) begin(ctx context.Context, name string, first uint64) error {
	_, err := s.pool.Exec(ctx, `insert into `+s.kind.table()+` (name, partition, position, partitions, incarnation, filter)
		select $1, p, $2, $3, $4, $5 from generate_series(0, $3 - 1) p where not exists (select from `+s.kind.table()+` where name = $1)
		on conflict do nothing`, name, int64(first), s.origin.Partitions, s.origin.Incarnation, s.origin.Filter) //nolint:gosec // below 2^63
	return err
}

// load reads the checkpoints of partitions.
func (s *Set) load(ctx context.Context, partitions []int) (map[int]ByName, error) {
	rows, err := s.pool.Query(ctx, `select name, partition, position, partitions, incarnation, filter from `+s.kind.table()+`
		where name = any($1) and partition = any($2)`, s.names, partitions)
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints of each %s: %w", s.kind, err)
	}
	var (
		at        = map[int]ByName{}
		name      string
		partition int
		position  int64
		made      Origin
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &partition, &position, &made.Partitions, &made.Incarnation, &made.Filter}, func() error {
		if err := s.origin.Accept(fmt.Sprintf("the checkpoint of %s %s", s.kind, name), made); err != nil {
			return err
		}
		if at[partition] == nil {
			at[partition] = ByName{}
		}
		at[partition][name] = uint64(position) //nolint:gosec // one below 0 is beyond every log
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints of each %s: %w", s.kind, err)
	}
	for _, p := range partitions {
		if len(at[p]) != len(s.names) {
			return nil, fmt.Errorf("partition %d has checkpoints of %v, not of %v: %s", p, slices.Sorted(maps.Keys(at[p])), s.names, Remedy)
		}
	}
	return at, nil
}

// Lowest reads up to where all names have come in each partition.
func (s *Set) Lowest(ctx context.Context, partitions []int) (map[int]uint64, error) {
	s.mu.Lock()
	before := maps.Clone(s.moves)
	s.mu.Unlock()
	at, err := s.load(ctx, partitions)
	if err != nil {
		return nil, err
	}
	lowest := map[int]uint64{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range partitions {
		if s.moves[p] == before[p] { // else they were moved after they were read
			s.at[p] = at[p]
		}
		lowest[p] = at[p].lowest()
	}
	return lowest, nil
}

func (p ByName) lowest() uint64 {
	if len(p) == 0 {
		return 0
	}
	return slices.Min(slices.Collect(maps.Values(p)))
}

// Farthest is the highest checkpoint of a partition, as last read or moved here.
func (s *Set) Farthest(partition int) (most uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.at[partition] {
		most = max(most, at)
	}
	return most
}

// Before gives the checkpoints that events after a position are for. ErrFenced: one of them is before it, or they were never read.
func (s *Set) Before(partition int, after uint64) (ByName, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[partition]
	if at == nil || at.lowest() < after {
		return nil, fmt.Errorf("each %s, partition %d after %d: %w", s.kind, partition, after, ErrFenced)
	}
	return maps.Clone(at), nil
}

// Move is an advance of a partition's checkpoints, from where they are to one position.
type Move struct {
	Partition int
	To        uint64

	names []string
	from  []int64
}

// Move makes the move of checkpoints that are behind a position.
func (s *Set) Move(partition int, from ByName, to uint64) Move {
	m := Move{Partition: partition, To: to}
	for _, name := range s.names { // two transactions lock rows in the same order
		if at := from[name]; at < to {
			m.names, m.from = append(m.names, name), append(m.from, int64(at)) //nolint:gosec // below 2^63
		}
	}
	return m
}

func (s *Set) sql(with string) string {
	return with + `update ` + s.kind.table() + ` c set position = r.upto
		from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) as r(name, partition, was, upto)
		where c.name = r.name and c.partition = r.partition and c.position = r.was and c.incarnation = $5`
}

func (s *Set) args(moves []Move) []any {
	var (
		names      []string
		partitions []int
		from, upto []int64
	)
	for _, m := range moves {
		for i, name := range m.names {
			names, partitions = append(names, name), append(partitions, m.Partition)
			from, upto = append(from, m.from[i]), append(upto, int64(m.To)) //nolint:gosec // below 2^63
		}
	}
	return []any{names, partitions, from, upto, s.origin.Incarnation}
}

// Queue puts the moves of several partitions into a batch, as one statement. Check reads its tag.
func (s *Set) Queue(b *pgx.Batch, moves ...Move) { b.Queue(s.sql(""), s.args(moves)...) }

// Check is ErrFenced if a checkpoint was not where it was moved from.
func (s *Set) Check(tag pgconn.CommandTag, moves ...Move) error {
	wanted := 0
	for _, m := range moves {
		wanted += len(m.names)
	}
	if tag.RowsAffected() != int64(wanted) {
		return fmt.Errorf("move checkpoints of each %s: %w", s.kind, ErrFenced)
	}
	return nil
}

// Exec is the writing side of a pgx pool, connection or transaction.
type Exec interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// In moves checkpoints within a transaction.
func (s *Set) In(ctx context.Context, tx Exec, m Move) error {
	return s.exec(ctx, tx, "", m)
}

// Alone moves checkpoints with which nothing else is written. It does not wait for the disk: a database that crashes before has older ones,
// and the same events come again.
func (s *Set) Alone(ctx context.Context, m Move) error {
	const async = `with async as materialized (select set_config('synchronous_commit', 'off', true) as mode) `
	return s.exec(ctx, s.pool, async, m)
}

func (s *Set) exec(ctx context.Context, to Exec, with string, m Move) error {
	sql := s.sql(with)
	if with != "" {
		sql += ` and (select mode from async) = 'off'`
	}
	tag, err := to.Exec(ctx, sql, s.args([]Move{m})...)
	if err != nil {
		return fmt.Errorf("move checkpoints of each %s in partition %d: %w", s.kind, m.Partition, err)
	}
	return s.Check(tag, m)
}

// Moved notes a move that is durable.
func (s *Set) Moved(m Move) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := maps.Clone(s.at[m.Partition])
	for name, p := range at {
		at[name] = max(p, m.To)
	}
	s.at[m.Partition] = at
	s.moves[m.Partition]++
}

// Forget removes the checkpoints of a kind: they begin at the first positions again.
func Forget(ctx context.Context, tx Exec, kind Kind) error {
	_, err := tx.Exec(ctx, `delete from `+kind.table())
	return err
}
