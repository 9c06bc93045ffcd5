package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// Store is the event store, with the histories that it comes from.
type Store interface {
	es.Store
	es.Log
	// Lineage gives the incarnations of the store, the present one last, and after which position each began.
	Lineage(ctx context.Context) (ids []string, began []uint64, err error)
}

// Config says what is compared.
type Config struct {
	Store      Store
	Pool       *pgxpool.Pool
	Brokers    []string
	Topic      string // default topic.DefaultName
	Partitions int    // default topic.DefaultPartitions
	// Keys tell what on the topic is genuine. Without any, nothing there is believed.
	Keys *topic.Keys
	// Take makes the secrets that are given those of this Postgres. It is needed for a plan with Foreign secrets.
	Take func(ctx context.Context, tx pgx.Tx) error
}

// Part is what is made from the log, and can be made again.
type Part string

// The parts, as people know them.
const (
	Topic      Part = "topic and relay"
	ReadModels Part = "read models"
	Sagas      Part = "sagas"
	Reactors   Part = "reactors"
	Secrets    Part = "secrets"
)

// will says what is done about each part.
var will = map[Part]string{
	Topic:      "delete the topic and the relay's checkpoint; the relay publishes the whole log again",
	ReadModels: "drop the read models; they are built again from the log",
	Sagas:      "forget how far the sagas have heard and what they wait for; both are found again from where they were deployed on",
	Reactors:   "forget how far the reactors have read and what they wait for; every payment is looked at before the provider is asked",
	Secrets: "take those that are given. Personal data under another key-encryption key is shown as missing until that key is a further line of " +
		"key-encryption.key. Under another installation key no request of before is recognised: sent again it is refused, or, without an id of its own, done a second time",
}

var derived = []Part{ReadModels, Sagas, Reactors}

// Trouble is one thing that does not belong together.
type Trouble struct {
	What  string `json:"what"`
	Parts []Part `json:"parts"`
}

// Plan is what disagrees, and what is to be done.
type Plan struct {
	Troubles []Trouble `json:"disagrees"`
	// Other: Postgres was fed by an event store that has nothing to do with this one.
	Other bool `json:"other_store"`
	// Kept is the last position up to which what Postgres and Kafka have is in the store too.
	Kept uint64 `json:"kept"`
	End  uint64 `json:"end"`
}

// Parts are those that are made again, in the order of the Part constants.
func (p *Plan) Parts() (parts []Part) {
	for _, part := range []Part{Topic, ReadModels, Sagas, Reactors, Secrets} {
		if slices.ContainsFunc(p.Troubles, func(t Trouble) bool { return slices.Contains(t.Parts, part) }) {
			parts = append(parts, part)
		}
	}
	return parts
}

// Lost tells whether the store may lack what was acknowledged.
func (p *Plan) Lost() bool { return slices.Contains(p.Parts(), Topic) }

// Rebuild adds the read models to what is made again.
func (p *Plan) Rebuild() { p.add([]Part{ReadModels}, "the read models are to be built anew") }

// Resign adds that the topic is signed with a key that is not there any more.
func (p *Plan) Resign(why error) { p.add([]Part{Topic}, "%v", why) }

// Foreign adds a secret that is not the one that this Postgres was made with.
func (p *Plan) Foreign(format string, args ...any) { p.add([]Part{Secrets}, format, args...) }

func (p *Plan) add(parts []Part, format string, args ...any) {
	p.Troubles = append(p.Troubles, Trouble{fmt.Sprintf(format, args...), parts})
}

// ErrDisagree says that the servers do not belong together as they are.
var ErrDisagree = errors.New("event store, Kafka and Postgres do not belong together")

// Err is nil if nothing disagrees. Else it names everything that does, and the remedy.
func (p *Plan) Err() error {
	if len(p.Troubles) == 0 {
		return nil
	}
	what := make([]string, len(p.Troubles))
	for i, t := range p.Troubles {
		what[i] = t.What
	}
	advice := "`daybook recover --dry-run` shows what can be done"
	if p.Other {
		advice = "connect the event store that belongs to this Postgres; if it is meant, " + advice
	}
	return fmt.Errorf("%w: %s; %s: %s", ErrDisagree, strings.Join(what, "; "), checkpoint.Remedy, advice)
}

func (c *Config) defaults() {
	if c.Topic == "" {
		c.Topic = topic.DefaultName
	}
	if c.Partitions == 0 {
		c.Partitions = topic.DefaultPartitions
	}
}

// Diagnose compares the three servers. Everything in Postgres and Kafka is read before the end of the log, so that a system that
// runs meanwhile is not taken for one that disagrees. A Kafka that cannot be reached is passed over: losing it loses nothing.
func Diagnose(ctx context.Context, cfg Config) (*Plan, error) {
	cfg.defaults()
	p, err := diagnose(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("comparing event store, Kafka and Postgres: %w", err)
	}
	return p, nil
}

func diagnose(ctx context.Context, cfg Config) (*Plan, error) {
	histories, err := historiesOf(ctx, cfg.Pool)
	if err != nil {
		return nil, err
	}
	state, damaged := topic.LoadState(ctx, cfg.Pool)
	running, err := newestInstances(ctx, cfg.Pool)
	if err != nil {
		return nil, err
	}
	tails, err := topicTails(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	ids, began, err := cfg.Store.Lineage(ctx)
	if err != nil {
		return nil, err
	}
	ahead, err := checkpoint.FindAhead(ctx, cfg.Pool, 0, cfg.Store.End)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	if p.End, err = cfg.Store.End(ctx); err != nil {
		return nil, err
	}
	p.Kept = p.End
	if damaged != nil {
		p.add([]Part{Topic}, "%v", damaged)
	}
	lineage := lineage{ids, began}
	p.incarnations(histories, lineage)
	p.counts(histories, cfg.Partitions)
	if err := p.positions(ctx, cfg, ahead, state, running); err != nil {
		return nil, err
	}
	p.topic(tails, lineage, cfg)
	return p, nil
}

// history is where some part comes from.
type history struct {
	checkpoint.Origin

	part Part
}

func historiesOf(ctx context.Context, pool *pgxpool.Pool) ([]history, error) {
	rows, err := pool.Query(ctx, `
		select $1, incarnation, partitions, filter from daybook.relay
		union select $2, incarnation, partitions, filter from daybook.projection_build
		union select $3, incarnation, partitions, filter from daybook.saga_checkpoint
		union select $4, incarnation, partitions, filter from daybook.reactor_checkpoint order by 1, 2, 3, 4`, Topic, ReadModels, Sagas, Reactors)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (h history, err error) {
		err = row.Scan(&h.part, &h.Incarnation, &h.Partitions, &h.Filter)
		return h, err
	})
}

// lineage is the incarnations of the store, oldest first.
type lineage struct {
	ids   []string
	began []uint64
}

func (l lineage) present() string { return l.ids[len(l.ids)-1] }

// incarnations compares histories. What was made from one that this store was restored from, or of another store, is all made again:
// its parts are of one history.
func (p *Plan) incarnations(all []history, of lineage) {
	var former, others []string
	for _, h := range all {
		i := slices.Index(of.ids, h.Incarnation)
		switch {
		case h.Incarnation == of.present():
		case i >= 0:
			p.Kept = min(p.Kept, of.began[i+1])
			former = append(former, h.Incarnation)
		default:
			others = append(others, h.Incarnation)
		}
	}
	slices.Sort(former)
	slices.Sort(others)
	if former = slices.Compact(former); len(former) > 0 {
		p.add(append([]Part{Topic}, derived...), "the event store was restored from a backup: it is incarnation %s now, and Postgres was fed from %s",
			of.present(), strings.Join(former, ", "))
	}
	if others = slices.Compact(others); len(others) > 0 {
		p.Other, p.Kept = true, 0
		p.add(append([]Part{Topic}, derived...), "Postgres was fed from incarnation %s of an event store that has nothing to do with this one, which is %s: "+
			"they are of different installations, or the event store was lost", strings.Join(others, ", "), of.present())
	}
}

// counts compares how many partitions and what filter the parts were made with.
func (p *Plan) counts(all []history, n int) {
	for _, h := range all {
		switch {
		case h.Partitions != n:
			p.add([]Part{h.part}, "the checkpoints of the %s count %d partitions, this installation has %d", h.part, h.Partitions, n)
		case h.Filter != es.RelayFilter:
			p.add([]Part{h.part}, "the checkpoints of the %s were made under filter %d of what is relayed, this program has filter %d", h.part, h.Filter, es.RelayFilter)
		}
	}
}

// positions compares checkpoints with the end of the log.
func (p *Plan) positions(ctx context.Context, cfg Config, ahead []checkpoint.Ahead, state topic.State, running []instance) error {
	if p.Other || slices.Contains(p.Parts(), Sagas) {
		return nil // they are of another log
	}
	for _, i := range running {
		reached, err := reaches(ctx, cfg.Store, i)
		if err != nil {
			return err
		}
		if !reached {
			p.lostEnd("%s has %d events in Postgres, and fewer in the event store: the store has lost its end, or was restored to an older state", i.stream, i.revision)
			return nil
		}
	}
	of := map[checkpoint.Kind]Part{checkpoint.Relay: Topic, checkpoint.ReadModel: ReadModels, checkpoint.Saga: Sagas, checkpoint.Reactor: Reactors}
	for _, a := range ahead {
		if a.Kind == checkpoint.Relay {
			p.lostEnd("the relay has published up to position %d, but the log ends at %d: the event store has lost its end, or was restored to an older state", state.Position, a.End)
			return nil
		}
	}
	seen := map[Part]bool{}
	for _, a := range ahead {
		part, known := of[a.Kind]
		if !known || seen[part] {
			continue
		}
		seen[part] = true
		p.add([]Part{part}, "%s", a)
	}
	return nil
}

func (p *Plan) lostEnd(format string, args ...any) {
	p.add(append([]Part{Topic}, derived...), format, args...)
}

// instance is a running saga as its row has it.
type instance struct {
	stream   es.StreamID
	revision uint64 // events
}

// newestInstances gives the instances that were begun last: those whose streams a shorter log lacks.
func newestInstances(ctx context.Context, pool *pgxpool.Pool) ([]instance, error) {
	const most = 200
	rows, err := pool.Query(ctx, `select instance, revision from daybook.saga_instance where phase in ('doing', 'undoing') order by updated_at desc limit $1`, most)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (i instance, err error) {
		var name string
		var n int64
		if err = row.Scan(&name, &n); err == nil {
			i.stream, i.revision = es.AnyStreamID(name), uint64(max(n, 0)) //nolint:gosec // not negative
		}
		return i, err
	})
}

func reaches(ctx context.Context, store es.Store, i instance) (bool, error) {
	if i.revision == 0 {
		return true, nil
	}
	for _, err := range store.Read(ctx, i.stream, i.revision-1) {
		return err == nil, err
	}
	return false, nil
}
