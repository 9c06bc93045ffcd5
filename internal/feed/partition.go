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

	"github.com/daybook-dev/daybook/internal/beat"
	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// partition is one partition while this process has it. One goroutine runs it.
type partition struct {
	gen   *generation
	feed  *Feed
	id    int
	log   *slog.Logger
	inbox *inbox
	held  held

	roused chan struct{} // a hint that a rest has ended

	offset int64 // of the topic: everything before it was delivered; kafka.FirstOffset: nothing was
	high   int64 // where the topic ends, as last heard

	at     uint64         // the checkpoint, as last read or moved
	within bool           // the log is known to reach it
	moved  time.Time      // when that was
	known  uint64         // an event of the partition is known to be here
	clear  uint64         // none is in (at, clear]
	heard  time.Time      // when messages came last, or the relay moved while it rested
	asked  <-chan outlook // what it is about to compare itself with; nil: it has not asked
	answer *outlook       // to that, not yet compared
	looked time.Time      // when it last compared itself with the relay
	blind  bool           // it could not
	owed   owed           // what that found

	begun  bool // the first fetch has been answered, or has failed
	failed bool // the last one has

	lag    atomic.Int64 // messages of the topic that are not applied
	oldest atomic.Int64 // when the oldest event that is not applied was recorded, in Unix microseconds; 0: none is known
	trying atomic.Int64 // since when events are being applied, in Unix microseconds; 0: none are
}

func newPartition(g *generation, a kafka.PartitionAssignment, at uint64) *partition {
	return &partition{
		gen: g, feed: g.feed, id: a.ID, log: g.feed.log.With("partition", a.ID),
		inbox: g.fetcher.byPart[a.ID], offset: a.Offset, held: newHeld(g.feed.cfg), at: at, moved: time.Now(), roused: make(chan struct{}, 1),
	}
}

func (p *partition) run(ctx context.Context) {
	for p.confirm(ctx) && p.wait(ctx) {
		err := p.receive(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if p.held.due() {
				p.settle(ctx)
			}
			if len(p.held.events) == 0 && p.offset >= 0 {
				p.gen.resumeAt(p.id, p.offset)
			}
			err = p.look(ctx)
		}
		if err != nil {
			p.inbox.close()
			p.set(history, err)
			<-ctx.Done()
			return
		}
		p.collect(ctx)
		for p.seen() < p.known && ctx.Err() == nil { // what was given up because the checkpoint went back
			p.heal(ctx, p.known)
		}
		p.waiting()
	}
}

// wait returns when there is something to do. False says that ctx ended.
func (p *partition) wait(ctx context.Context) bool {
	due := time.Now().Add(time.Hour)
	if p.begun && p.asked == nil && p.answer == nil {
		due = p.lookDue()
	}
	if len(p.held.events) > 0 && p.held.until.Before(due) {
		due = p.held.until
	}
	if p.owed.upto > 0 && p.owed.due().Before(due) {
		due = p.owed.due()
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.roused:
		p.heard = time.Now()
	case <-p.inbox.came:
		p.begun = true
	case o := <-p.asked:
		p.asked, p.answer = nil, &o
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// receive delivers what was fetched. Its error stops the partition.
func (p *partition) receive(ctx context.Context) error {
	t := p.inbox.take()
	p.high, p.failed = t.high, t.err != nil
	p.waiting()
	var messages []topic.Message
	for _, piece := range t.pieces {
		messages = append(messages, p.feed.openAll(piece.Piece)...)
		p.owed.fetched = p.owed.fetched || piece.asked.After(p.owed.since)
	}
	if len(messages) > 0 {
		before := p.seen()
		if err := p.deliver(ctx, messages); err != nil {
			return err
		}
		if p.seen() > before { // copies of what was seen may go on coming, and be all that comes
			p.heard, p.owed = time.Now(), owed{}
		}
	}
	p.offset = t.next
	return nil
}

// waiting notes how many messages are not applied.
func (p *partition) waiting() {
	lag := max(p.high-max(p.offset, 0), 0) + int64(len(p.held.events))
	if lag == 0 && p.seen() >= p.known {
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

// genuine gives the messages up to the first one that the log does not reach. It waits for a store that does not answer.
func (p *partition) genuine(ctx context.Context, messages []topic.Message) []topic.Message {
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
		if p.foreign(m) != nil {
			ours = messages[:i]
			break
		}
	}
	genuine := p.genuine(ctx, ours)
	for _, m := range genuine {
		p.known = max(p.known, m.Record.Position)
	}
	for rest := genuine; len(rest) > 0 && ctx.Err() == nil; {
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
		return p.foreign(messages[len(ours)])
	}
	return nil
}

// foreign is why a message is of another history, or was relayed under another filter; nil: it is neither.
func (p *partition) foreign(m topic.Message) error {
	here := p.feed.origin()
	made := here
	if made.Incarnation, made.Filter = m.Incarnation, m.Filter; made == here {
		return nil
	}
	return here.Accept(fmt.Sprintf("event %d on Kafka", m.Record.Position), made)
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
	switch o := p.answer; {
	case o != nil:
		p.answer, p.looked = nil, o.ended // those who share it look again together
		p.settle(ctx)
		return p.compare(*o)
	case p.begun && p.asked == nil && !time.Now().Before(p.lookDue()):
		p.settle(ctx)
		p.asked = p.gen.ask(p.moved)
	}
	return nil
}

// lookDue is when it asks for the next look.
func (p *partition) lookDue() time.Time {
	last := p.looked
	if !p.blind && p.heard.After(last) {
		last = p.heard
	}
	if !p.blind && p.gen.rests.Load() {
		return beat.Next(last.Add(p.feed.cfg.Idle), restingLooks*p.feed.cfg.Idle)
	}
	return last.Add(p.feed.cfg.Idle)
}

// restingLooks is how many times Idle lie between looks while the relay does not move.
const restingLooks = 5

// compare tells whether something was missed, or the checkpoint is no longer what it was. Its error stops the partition.
func (p *partition) compare(o outlook) error {
	p.blind = o.err != nil
	if p.set(looking, o.err); o.err != nil {
		return nil //nolint:nilerr // health shows it, and the partition goes on
	}
	if at := o.checkpoints[p.id]; at != p.at && o.began.After(p.moved) { // else it was moved here meanwhile
		p.log.Warn("the checkpoint was moved from outside", "from", p.at, "to", at)
		p.reset(at)
	}
	p.within = false // another of its checkpoints may have been moved
	s := o.relay
	switch {
	case s.Partitions == 0: // the relay has never run
	case s.Origin != p.feed.origin():
		return p.feed.origin().Accept("the relay's checkpoint", s.Origin)
	case s.Last[p.id] > p.at:
		p.owed = owed{upto: s.Last[p.id], since: o.ended, until: kafka.FirstOffset}
		if end, ok := o.ends[p.id]; ok {
			p.owed.until = end
		}
	default:
		p.owed = owed{}
		p.clear = max(p.clear, s.Position)
	}
	return nil
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
		if !errors.Is(err, ErrFenced) || try > 0 { // being fenced once is how one of two owners learns of the other
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
