package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/beat"
	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/topic"
)

// betweenSaves bounds how often the checkpoint is written under load. The first after a rest is written at once: readers
// of lists who wait for their own writes wait for it. Those of one key do not.
const betweenSaves = 10 * time.Millisecond

// shortFor is how long the log must end before what was read of it until events count as missing. A node of a cluster that
// has just become the leader may not know its end yet.
const shortFor = 10 * time.Second

// resting is how many times IdleEvery an idle relay lets pass between two looks, once it has been idle for that long.
const resting = 8

// between is the time between two looks of a relay whose checkpoint moved, or that was asked to look, at some moment.
func (s *session) between(moved time.Time) time.Duration {
	if time.Since(moved) < resting*s.cfg.IdleEvery {
		return s.cfg.IdleEvery
	}
	return time.Until(beat.Next(time.Now(), resting*s.cfg.IdleEvery))
}

// keep writes the checkpoint whenever it has moved, and else regularly, so that a connection that has died without a word is noticed.
// One that has been closed is noticed at once, and with it the loss of the lock.
func (s *session) keep(ctx context.Context) error {
	saved, moved := s.ledger.checkpoint(), time.Now()
	for {
		err := s.await(ctx, s.between(moved))
		if ctx.Err() != nil {
			return s.last(ctx, saved)
		}
		if err != nil {
			s.state.note(atCheckpoint, err)
			return err
		}
		next := s.ledger.checkpoint()
		if next.Position > saved.Position {
			moved = time.Now()
		}
		saving, cancel := context.WithTimeout(ctx, 5*time.Second)
		err = s.save(saving, next)
		cancel()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.state.note(atCheckpoint, err)
			return err
		}
		if next.Position > saved.Position {
			failpoint.Hit(failpoint.RelayCheckpointAfter)
		}
		saved = next
		s.state.note(atCheckpoint, nil)
		s.state.metrics.position.Set(float64(next.Position))
		if err := backoff.Wait(ctx, betweenSaves); err != nil {
			return s.last(ctx, saved)
		}
	}
}

// await waits until the checkpoint moves, for some time at most. Its error says that the connection was closed.
func (s *session) await(ctx context.Context, atMost time.Duration) error {
	select {
	case <-s.ledger.moved:
		return nil
	default:
	}
	waiting, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-s.ledger.moved:
			cancel()
		case <-waiting.Done():
		}
	}()
	err := s.listen(waiting, func() {
		select {
		case s.wanted <- struct{}{}:
		default: // it has been asked already
		}
	})
	cancel()
	<-ended // what it takes from moved is written by this round
	return err
}

// last writes what was acknowledged before an orderly end, so that it is not published again.
func (s *session) last(ctx context.Context, saved topic.State) error {
	if next := s.ledger.checkpoint(); next.Position > saved.Position {
		saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.save(saving, next) // it is a convenience
	}
	return ctx.Err()
}

// probe asks the store where its log ends. If that is where the checkpoint is, the relay had caught up when it asked:
// that is all it can learn on an idle store. Now and then it also looks after the topic, for the consumers' sake.
func (s *session) probe(ctx context.Context) error {
	looked, missing, moved := time.Now(), false, time.Now()
	var short time.Time // since when the log ends before what was read of it
	relayed := s.ledger.seen()
	for {
		began := time.Now()
		if seen := s.ledger.seen(); seen != relayed {
			relayed, moved = seen, began
		}
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		end, err := s.cfg.Log.End(asking)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && end < relayed {
			err = &checkpoint.MismatchError{
				What:   fmt.Sprintf("position %d was relayed, but the event store's log ends at %d: events are missing there", relayed, end),
				Remedy: "restore the event store, or " + checkpoint.Remedy,
			}
			if short.IsZero() {
				short = began
			} else if began.Sub(short) > shortFor {
				return err
			}
		}
		if s.state.note(atEnd, err); err == nil {
			short = time.Time{}
			// On the store's clock it was earlier than on ours by what its clock is behind, which is no more than what
			// the quickest event took to come here.
			s.ledger.caughtUp(end, began.Add(-time.Duration(s.state.behind.Load())))
			s.state.metrics.lag(end, s.ledger.checkpoint().Position, s.ledger.oldest())
		}
		// A look that failed is repeated, also while there is something to publish.
		if missing && time.Since(looked) > topicAgain || time.Since(looked) > topicEvery && s.ledger.oldest().IsZero() {
			looked = time.Now()
			asking, cancel := context.WithTimeout(ctx, minProduceTimeout)
			err := topic.Ensure(asking, s.cfg.Brokers, s.cfg.Topic, s.cfg.Partitions)
			cancel()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			missing = err != nil
			s.state.note(atTopic, err)
			if permanent(err) {
				return err
			}
		}
		if s.rest(ctx, s.between(moved)) {
			moved = time.Now()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// rest waits for some time, or until ctx ends or a look is wanted: true.
func (s *session) rest(ctx context.Context, d time.Duration) (wanted bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.wanted:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}
