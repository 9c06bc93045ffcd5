package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	minProduceTimeout = 5 * time.Second
	maxProduceTimeout = time.Minute
	clocksDiffer      = time.Second     // what the store's clock is taken to be behind ours until an event came live
	topicEvery        = 5 * time.Second // how often an idle relay looks whether its topic is still there
	topicAgain        = time.Second     // and how often if it was not
)

// betweenTries of a batch, and betweenTurns of leading.
var (
	betweenTries = backoff.Policy{First: 5 * time.Millisecond, Most: 2 * time.Second}
	betweenTurns = backoff.Policy{First: 50 * time.Millisecond, Most: 2 * time.Second}
)

// session is the publishing from one taking over to the next. It ends with an error only.
type session struct {
	cfg    Config
	state  *status
	broker *broker
	ledger *ledger
	queues []*queue
	// save writes the checkpoint; its error ends the session.
	save func(context.Context, topic.State) error
	// listen returns when ctx ends, or the connection that save uses was closed: then with an error. It calls its argument when the relay is
	// asked to look whether it has caught up.
	listen func(ctx context.Context, wanted func()) error
	wanted chan struct{}
	// quickest is how long after being recorded an event has been seen at least, among those that came live.
	quickest time.Duration
}

func newSession(cfg Config, st *status, from topic.State, save func(context.Context, topic.State) error, listen func(context.Context, func()) error) *session {
	s := &session{cfg: cfg, state: st, broker: newBroker(cfg), ledger: newLedger(from, cfg.BufferBytes), save: save, listen: listen, wanted: make(chan struct{}, 1), quickest: -1}
	st.behind.Store(int64(clocksDiffer))
	for range cfg.Partitions {
		s.queues = append(s.queues, newQueue())
	}
	return s
}

// run publishes everything after the checkpoint it was given, until ctx ends or it may not go on.
func (s *session) run(ctx context.Context) error {
	defer s.broker.close()
	if err := s.ready(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.ledger.close)
	defer stop()
	for p := range s.queues {
		group.Go(func() error { return s.publish(ctx, p) })
	}
	group.Go(func() error { return s.read(ctx) })
	group.Go(func() error { return s.keep(ctx) })
	group.Go(func() error { return s.probe(ctx) })
	return group.Wait()
}

// ready waits until the topic is there.
func (s *session) ready(ctx context.Context) error {
	for try := 0; ; try++ {
		asking, cancel := context.WithTimeout(ctx, minProduceTimeout)
		err := topic.Ensure(asking, s.cfg.Brokers, s.cfg.Topic, s.cfg.Partitions)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.state.note(atTopic, err); err == nil || permanent(err) {
			return err
		}
		if err := s.pause(ctx, try, "waiting for the topic", err); err != nil {
			return err
		}
	}
}

// read follows the log and hands every record to its partition.
func (s *session) read(ctx context.Context) error {
	for try := 0; ; try++ {
		got := false
		err := s.sameHistory(ctx)
		if err == nil {
			got, err = s.follow(ctx)
		}
		if permanent(err) || ctx.Err() != nil {
			return err
		}
		s.state.note(atStore, err)
		if got {
			try = 0
		}
		if err := s.pause(ctx, try, "following the event store", err); err != nil {
			return err
		}
	}
}

// sameHistory: a store that was away may have come back as another one.
func (s *session) sameHistory(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.within)
	defer cancel()
	incarnation, err := s.cfg.Log.Incarnation(ctx)
	if err != nil {
		return err
	}
	return belongs(s.ledger.checkpoint(), s.cfg.Partitions, incarnation)
}

func (s *session) follow(ctx context.Context) (got bool, err error) {
	live := false
	for rec, err := range s.cfg.Log.Follow(ctx, s.ledger.seen()) {
		if err != nil {
			return got, err
		}
		if !got {
			got = true
			s.state.note(atStore, nil)
		}
		if rec.Position == 0 {
			live = true
			continue
		}
		if live {
			if lag := max(time.Since(rec.Created), 0); s.quickest < 0 || lag < s.quickest {
				s.quickest = lag
				s.state.behind.Store(int64(lag))
			}
		}
		if err := s.enqueue(ctx, rec); err != nil {
			return got, err
		}
	}
	return got, errors.New("the event store's log ended")
}

func (s *session) enqueue(ctx context.Context, rec es.Record) error {
	if rec.Position <= s.ledger.seen() {
		return nil
	}
	if !rec.Relayed() {
		s.ledger.pass(rec)
		return nil
	}
	partition, size := topic.PartitionOf(rec.Stream.Partition(), s.cfg.Partitions), sizeOf(rec)
	prev, ok := s.ledger.add(rec, partition, size)
	if !ok {
		return ctx.Err()
	}
	s.queues[partition].push(link{rec, prev, size})
	return nil
}

// publish sends a partition's batches, one after another.
func (s *session) publish(ctx context.Context, partition int) error {
	incarnation := s.ledger.checkpoint().Incarnation
	for {
		batch, err := s.queues[partition].take(ctx, s.cfg.BatchBytes)
		if err != nil {
			return err
		}
		messages, bytes := make([]kafka.Message, len(batch)), 0
		for i, l := range batch {
			if messages[i], err = s.message(partition, l, incarnation); err != nil {
				return err
			}
			bytes += l.size
		}
		failpoint.Hit(failpoint.PublishBefore)
		if err := s.send(ctx, partition, messages); err != nil {
			return err
		}
		failpoint.Hit(failpoint.PublishAfter)
		s.state.metrics.published(len(batch), bytes)
		s.ledger.ack(partition, batch[len(batch)-1].record.Position)
	}
}

// message is a record as it is published.
func (s *session) message(partition int, l link, incarnation string) (kafka.Message, error) {
	m := topic.Encode(l.record, l.prev, incarnation, s.cfg.Schema)
	m.Topic, m.Partition = s.cfg.Topic, partition
	if err := s.cfg.Keys.Sign(&m); err != nil {
		return m, fmt.Errorf("signing event %d: %w", l.record.Position, err)
	}
	return m, nil
}

// send produces a batch until it is acknowledged, however long that takes.
func (s *session) send(ctx context.Context, partition int, batch []kafka.Message) error {
	patience := minProduceTimeout
	for try := 0; ; try++ {
		began := time.Now()
		sending, cancel := context.WithTimeout(ctx, patience)
		epoch, err := s.broker.produce(sending, partition, batch)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			s.state.metrics.produce.Observe(time.Since(began).Seconds())
			s.state.note(atPartition(partition), nil)
			return nil
		}
		if errors.Is(err, kafka.MessageSizeTooLarge) && len(batch) > 1 { // a topic that others made, with a lower limit
			half := len(batch) / 2
			if err := s.send(ctx, partition, batch[:half]); err != nil {
				return err
			}
			return s.send(ctx, partition, batch[half:])
		}
		s.state.note(atPartition(partition), err)
		if errors.Is(err, context.DeadlineExceeded) { // a slow connection must be given the time it takes
			patience = min(2*patience, maxProduceTimeout)
		}
		if err := s.mend(ctx, partition, epoch, err); err != nil {
			return err
		}
		if err := s.pause(ctx, try, "producing", fmt.Errorf("partition %d: %w", partition, err)); err != nil {
			return err
		}
	}
}

// mend prepares the next try.
func (s *session) mend(ctx context.Context, partition, epoch int, cause error) error {
	if !topicIsGone(cause) {
		s.broker.renew(epoch)
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, minProduceTimeout)
	defer cancel()
	err := s.broker.ensure(asking, epoch)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case permanent(err):
		return err
	case err != nil:
		s.state.note(atPartition(partition), err)
	}
	return nil
}

// pause waits before the next try, longer each time.
func (s *session) pause(ctx context.Context, try int, doing string, cause error) error {
	if try == 3 || try > 3 && try%30 == 0 {
		s.cfg.Logger.DebugContext(ctx, "relay: "+doing+" fails; it goes on trying", "tries", try+1, "error", cause)
	}
	return betweenTries.Wait(ctx, try+1)
}
