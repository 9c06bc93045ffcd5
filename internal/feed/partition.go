package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// partition is one partition while this process has it. One goroutine runs it.
type partition struct {
	gen    *generation
	feed   *Feed
	id     int
	log    *slog.Logger
	source source
	held   held

	at     uint64         // the checkpoint, as last read or moved
	within bool           // the log is known to reach it
	moved  time.Time      // when that was
	known  uint64         // an event of the partition is known to stand here
	clear  uint64         // none stands in (at, clear]
	heard  time.Time      // when messages came last
	asked  <-chan outlook // what it is about to compare itself with; nil: it has not asked
	looked time.Time      // when it last compared itself with the relay
	blind  bool           // it could not
	owed   uint64         // the relay's last event, if a look found it beyond the checkpoint; 0: none did since the last fetch

	lag    atomic.Int64 // messages of the topic that are not applied
	oldest atomic.Int64 // when the oldest event that is not applied was recorded, in Unix microseconds; 0: none is known
	trying atomic.Int64 // since when events are being applied, in Unix microseconds; 0: none are
}

func newPartition(g *generation, a kafka.PartitionAssignment, at uint64) *partition {
	return &partition{
		gen: g, feed: g.feed, id: a.ID, log: g.feed.log.With("partition", a.ID),
		source: source{feed: g.feed, part: a.ID, offset: a.Offset}, held: newHeld(g.feed.cfg), at: at, moved: time.Now(),
	}
}

func (p *partition) run(ctx context.Context) {
	for failures := 0; p.confirm(ctx); {
		owed := p.owed
		messages, err := p.source.fetch(ctx, p.held.patience())
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, kafka.OffsetOutOfRange) { // the next fetch is of what there is
			err = nil
		}
		if p.set(fetching, err); err != nil {
			_ = soon.Wait(ctx, failures+1)
			failures++
		} else {
			failures = 0
			p.waiting(len(messages))
		}
		if len(messages) > 0 {
			before := p.seen()
			if err := p.deliver(ctx, messages); err != nil {
				p.set(history, err)
				<-ctx.Done()
				return
			}
			if p.seen() > before { // copies of what was seen may come for ever, and be all that comes
				p.heard = time.Now()
			}
		}
		if p.held.due() {
			p.settle(ctx)
		}
		if len(p.held.events) == 0 && p.source.offset >= 0 {
			p.gen.resumeAt(p.id, p.source.offset)
		}
		if p.owed = 0; owed > 0 && (len(messages) == 0 || p.silent()) && p.seen() < owed {
			p.settle(ctx)
			p.log.Info("behind the relay and nothing comes: reading the event store", "after", p.at, "upto", owed)
			p.heal(ctx, owed)
		}
		if err := p.look(ctx); err != nil {
			p.set(history, err)
			<-ctx.Done()
			return
		}
		for p.seen() < p.known && ctx.Err() == nil { // what was given up because the checkpoint went back
			p.heal(ctx, p.known)
		}
		p.waiting(len(p.held.events))
	}
}

// waiting notes how many messages are fetched and not applied, beside those that the topic has beyond.
func (p *partition) waiting(fetched int) {
	lag := max(p.source.high-p.source.offset, 0)
	if p.source.offset < 0 { // nothing has been fetched
		lag = p.source.high
	}
	if lag += int64(fetched); lag == 0 && p.seen() >= p.known {
		p.oldest.Store(0)
	}
	p.lag.Store(lag)
}

// confirm waits until the log reaches the checkpoint. False says that ctx ended.
func (p *partition) confirm(ctx context.Context) bool {
	for try := 0; !p.within && ctx.Err() == nil; try++ {
		at := p.at
		if c, ok := p.feed.cfg.Consumer.(Several); ok {
			at = max(at, c.Farthest(p.id))
		}
		err := p.feed.horizon.Reached(ctx, at)
		if ctx.Err() != nil {
			return false
		}
		if p.set(reaching, err); err == nil {
			p.within = true
			break
		}
		_ = soon.Wait(ctx, try+1)
		p.reload(ctx)
	}
	return ctx.Err() == nil
}

// real gives the messages up to the first one that the log does not reach. It waits for a store that does not answer.
func (p *partition) real(ctx context.Context, messages []topic.Message) []topic.Message {
	farthest := uint64(0)
	for _, m := range messages {
		farthest = max(farthest, m.Record.Position)
	}
	defer p.set(reaching, nil)
	for try := 0; ctx.Err() == nil; try++ {
		err := p.feed.horizon.Reached(ctx, farthest)
		if err == nil {
			return messages
		}
		if errors.Is(err, checkpoint.ErrAhead) {
			p.feed.refused.note(p.feed, beyond, p.id, err)
			known := p.feed.horizon.Known()
			if i := slices.IndexFunc(messages, func(m topic.Message) bool { return m.Record.Position > known }); i >= 0 {
				messages = messages[:i]
			} // else the log has grown meanwhile
			return messages
		}
		p.set(reaching, err)
		_ = soon.Wait(ctx, try+1)
	}
	return nil
}

// deliver applies messages, healing before those that do not follow on. Its error stops the partition.
func (p *partition) deliver(ctx context.Context, messages []topic.Message) error {
	ours := messages
	for i, m := range messages {
		if m.Incarnation != p.feed.cfg.Incarnation {
			ours = messages[:i]
			break
		}
	}
	real := p.real(ctx, ours)
	for _, m := range real {
		p.known = max(p.known, m.Record.Position)
	}
	for rest := real; len(rest) > 0 && ctx.Err() == nil; {
		var (
			events     []es.Record
			duplicates int
			gap        uint64
		)
		events, duplicates, gap, rest = follow(p.seen(), rest)
		p.feed.metrics.duplicates.Add(float64(duplicates))
		p.take(ctx, events)
		if gap > 0 {
			p.settle(ctx)
			p.log.Info("messages are missing: reading the event store", "after", p.at, "upto", gap)
			p.heal(ctx, gap)
		}
	}
	if len(ours) < len(messages) {
		foreign := messages[len(ours)]
		return fmt.Errorf("event %d on Kafka belongs to incarnation %s of the event store, this one is %s: "+
			"the topic holds another history; stop everything and run `daybook recover`",
			foreign.Record.Position, foreign.Incarnation, p.feed.cfg.Incarnation)
	}
	return nil
}

// seen is the last event that has been applied or is held.
func (p *partition) seen() uint64 {
	if n := len(p.held.events); n > 0 {
		return p.held.events[n-1].Position
	}
	return p.at
}

// take applies events that came live, or holds them if they can wait.
func (p *partition) take(ctx context.Context, events []es.Record) {
	if len(events) == 0 {
		return
	}
	if len(p.held.events)+len(events) > chunkEvents {
		before := p.seen()
		if p.settle(ctx); p.seen() != before { // they do not follow on any more
			return
		}
	}
	if !p.held.keep(p.id, events) {
		p.held.events = append(p.held.events, events...)
		p.settle(ctx)
	}
}

// settle applies what is held. What is given up on the way is healed later: it is known.
func (p *partition) settle(ctx context.Context) {
	if events := p.held.release(); len(events) > 0 && p.apply(ctx, events, func() {}) {
		p.feed.metrics.live.Add(float64(len(events)))
	}
}

// look compares the partition with the relay and its checkpoint when it hears nothing, or could not the last time. It does not wait:
// what it asks for, a later call finds. Messages are delivered meanwhile. Its error stops the partition.
func (p *partition) look(ctx context.Context) error {
	if p.asked == nil {
		if time.Since(p.looked) < p.feed.cfg.Idle || !p.blind && !p.silent() {
			return nil
		}
		p.settle(ctx)
		p.asked = p.gen.ask(p.moved)
	}
	select {
	case o := <-p.asked:
		p.asked, p.looked = nil, time.Now()
		p.settle(ctx)
		return p.compare(o)
	default:
		return nil
	}
}

func (p *partition) silent() bool { return time.Since(p.heard) >= p.feed.cfg.Idle }

// compare tells whether something was missed, or the checkpoint is no longer what it was. Its error stops the partition.
func (p *partition) compare(o outlook) error {
	p.blind = o.err != nil
	if p.set(looking, o.err); o.err != nil {
		return nil
	}
	if at := o.checkpoints[p.id]; at != p.at && o.began.After(p.moved) { // else it was moved here meanwhile
		p.log.Warn("the checkpoint was moved from outside", "from", p.at, "to", at)
		p.reset(at)
	}
	p.within = false // another of its checkpoints may have been moved
	s := o.relay
	switch {
	case s.Partitions == 0: // the relay has never run
	case s.Incarnation != p.feed.cfg.Incarnation || s.Partitions != p.feed.cfg.Partitions:
		return fmt.Errorf("the relay works on incarnation %s with %d partitions, this process on %s with %d",
			s.Incarnation, s.Partitions, p.feed.cfg.Incarnation, p.feed.cfg.Partitions)
	case s.Last[p.id] > p.at:
		// What the relay published after the last fetch is not missing. If the next fetch, begun after this look, has nothing, it is.
		p.owed = s.Last[p.id]
	default:
		p.clear = max(p.clear, s.Position)
	}
	return nil
}

// heal applies what the event store has of the partition up to and with the event at upto.
func (p *partition) heal(ctx context.Context, upto uint64) {
	p.feed.metrics.heals.Inc()
	defer p.set(healing, nil)
	for try := 0; p.at < upto && ctx.Err() == nil; try++ {
		from := p.at
		if p.clear < upto {
			from = max(from, p.clear)
		}
		before := p.at
		err := p.feed.cfg.Scan.Read(ctx, p.id, from, upto, func(events []es.Record, release func()) bool {
			ok := p.apply(ctx, events, release)
			if ok {
				p.feed.metrics.healed.Add(float64(len(events)))
			}
			return ok
		})
		if p.at > before {
			try = 0
		}
		if p.at < upto && ctx.Err() == nil && !errors.Is(err, ErrLeft) {
			if err == nil {
				err = errors.New("the event store does not have it")
			}
			p.set(healing, fmt.Errorf("read the event store from %d up to event %d: %w", p.at, upto, err))
			p.clear = 0
			_ = soon.Wait(ctx, try+1)
		}
	}
}

// apply gives events that follow on from the checkpoint to the consumer until it has taken them. False says that it
// has not taken all: ctx ended, or the checkpoint is elsewhere than it was. release is called at the first failure.
func (p *partition) apply(ctx context.Context, events []es.Record, release func()) bool {
	defer p.set(applying, nil)
	p.oldest.Store(events[0].Created.UnixMicro())
	for try := 0; ctx.Err() == nil; try++ {
		err := p.try(ctx, events)
		if err == nil {
			p.at, p.moved = events[len(events)-1].Position, time.Now()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		release()
		p.feed.metrics.failures.Inc()
		if !errors.Is(err, ErrFenced) || try > 0 { // being fenced once is how two owners are told apart
			p.set(applying, fmt.Errorf("apply %d events after %d: %w", len(events), p.at, err))
			_ = later.Wait(ctx, try+1)
		}
		before := p.at
		if !p.reload(ctx) {
			return false
		}
		if p.at < before { // they do not follow on any more
			return false
		}
		if events = after(p.at, events); len(events) == 0 {
			return true
		}
	}
	return false
}

// applyWithin bounds one try. What became of it, the checkpoint tells.
const applyWithin = time.Minute

func (p *partition) try(ctx context.Context, events []es.Record) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v", x)
		}
	}()
	if err := p.feed.horizon.Reached(ctx, events[len(events)-1].Position); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyWithin)
	defer cancel()
	p.trying.Store(time.Now().UnixMicro())
	defer p.trying.Store(0)
	return p.feed.cfg.Consumer.Apply(ctx, p.id, p.at, events)
}

// reload reads the checkpoint again, as often as it takes. False says that ctx ended.
func (p *partition) reload(ctx context.Context) bool {
	for try := 0; ctx.Err() == nil; try++ {
		at, err := p.feed.readCheckpoints(ctx, []int{p.id})
		if err == nil {
			p.reset(at[p.id])
			return true
		}
		p.set(applying, err)
		_ = later.Wait(ctx, try+1)
	}
	return false
}

// reset takes over a checkpoint that was read. One that is not where it was makes clear worthless.
func (p *partition) reset(at uint64) {
	if at < p.at {
		p.clear = 0
		if p.within { // else the events up to there do not exist
			p.known = max(p.known, p.at)
		}
	}
	p.at, p.moved, p.within = at, time.Now(), at == p.at && p.within
}

// set records the outcome of one look of an activity.
func (p *partition) set(doing activity, err error) { p.feed.health.Set(part(p.id, doing), err) }
