package esclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/kit/es"
)

// ReadAll implements es.Log. It goes on after an outage, as long as ctx lives.
func (c *Client) ReadAll(ctx context.Context, after uint64) iter.Seq2[es.Record, error] {
	return c.readLog(ctx, after, after)
}

// ReadFrom is ReadAll from the event at a position on, and that event too.
func (c *Client) ReadFrom(ctx context.Context, position uint64) iter.Seq2[es.Record, error] {
	return c.readLog(ctx, position, max(position, 1)-1)
}

// readLog yields the events after a position. from is where the server begins, inclusive: EventStoreDB takes positions of events only.
func (c *Client) readLog(ctx context.Context, from, after uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		open := func(ctx context.Context, s *session) (source, error) {
			return filtered(ctx, s, false, from, everything)
		}
		err := c.resume(ctx, c.own(open), func(i item) bool {
			if i.record.Position <= after {
				return true
			}
			from, after = i.record.Position, i.record.Position
			return !i.record.Recorded() || yield(i.record, nil)
		})
		if err != nil {
			yield(es.Record{}, fmt.Errorf("read the log after %d: %w", after, err))
		}
	}
}

const searchWindow = 512 // events that the server looks through before it says how far it is

// Follow implements es.Log. After an error it can be followed again at once: connecting waits for the server.
func (c *Client) Follow(ctx context.Context, after uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		open := func(ctx context.Context, s *session) (source, error) {
			src, err := following(ctx, s, after)
			if err != nil || s.caught {
				return src, err
			}
			goal, err := c.End(ctx) // the server will not say when the subscription has caught up
			if err != nil {
				src.close()
				return source{}, err
			}
			return catching(src, after, goal), nil
		}
		err := c.pump(ctx, 0, aheadOfLog, open, func(i item) bool {
			after = max(after, i.record.Position)
			switch {
			case i.caughtUp:
				return yield(es.Record{}, nil)
			case i.record.Position > 0 && i.record.Recorded():
				return yield(i.record, nil)
			}
			return true
		})
		switch {
		case errors.Is(err, errStopped):
			return
		case err == nil:
			err = errors.New("the server ended the subscription")
		}
		yield(es.Record{}, fmt.Errorf("follow the log after %d: %w", after, err))
	}
}

// catching is a source that says itself when it has reached the goal.
func catching(src source, at, goal uint64) source {
	inner, said := src.next, false
	src.next = func() (item, error) {
		if !said && at >= goal {
			said = true
			return item{caughtUp: true}, nil
		}
		i, err := inner()
		at = max(at, i.record.Position, i.position)
		return i, err
	}
	return src
}

// End implements es.Log.
func (c *Client) End(ctx context.Context) (position uint64, err error) {
	before := uint64(math.MaxUint64)
	for count := uint64(1); ; count *= 8 { // events of the store's own types may stand last
		seen := uint64(0)
		err := c.resume(ctx, c.own(func(ctx context.Context, s *session) (source, error) {
			return filtered(ctx, s, true, before, count)
		}), func(i item) bool {
			if seen++; i.record.Recorded() {
				position = i.record.Position
			}
			before = i.record.Position
			return position == 0
		})
		if err != nil {
			return 0, fmt.Errorf("find the end of the log: %w", err)
		}
		if position > 0 || seen < count {
			return position, nil
		}
	}
}

const (
	embeddedIncarnation = "$incarnation"      // stream of the embedded server: its newest event names the history
	foreignIncarnation  = "incarnation-store" // stream of ours on any other server, written once
)

// Incarnation implements es.Log. It is read each time: a server can be replaced under a running process.
func (c *Client) Incarnation(ctx context.Context) (string, error) {
	return c.incarnationOf(ctx, embeddedIncarnation)
}

// incarnationOf is Incarnation where the embedded server would name it in a stream of its own.
func (c *Client) incarnationOf(ctx context.Context, embedded string) (string, error) {
	id, err := c.incarnation(ctx, embedded)
	if denied, ok := errors.AsType[*esdb.Error](err); ok && denied.Code() == esdb.ErrorCodeAccessDenied {
		err = nil // not ours, and its streams are not for us
	}
	if id != "" || err != nil {
		return id, err
	}
	for {
		id, err := c.incarnation(ctx, foreignIncarnation)
		if id != "" || err != nil {
			return id, err
		}
		data, err := json.Marshal(incarnation{uuid.NewString()})
		if err != nil {
			return "", fmt.Errorf("name the event store's incarnation: %w", err)
		}
		_, err = c.Append(ctx, es.AnyStreamID(foreignIncarnation), es.NoStream, []es.Proposed{{
			ID: es.UUID(uuid.New()), Type: "incarnation.began", Data: data, Meta: []byte(`{"schema":1}`),
		}})
		// Another process may have been first, or ours is written although that is unknown: read it again.
		if err != nil && !errors.Is(err, es.ErrWrongRevision) && !errors.Is(err, es.ErrUnknownOutcome) {
			return "", fmt.Errorf("name the event store's incarnation: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("name the event store's incarnation: %w", err)
		}
	}
}

type incarnation struct {
	Incarnation string `json:"incarnation"`
}

func (c *Client) incarnation(ctx context.Context, stream string) (string, error) {
	var last incarnation
	for r, err := range c.Read(ctx, es.AnyStreamID(stream), 0) {
		if err == nil {
			err = json.Unmarshal(r.Data, &last)
		}
		if err != nil {
			return "", fmt.Errorf("read the event store's incarnation: %w", err)
		}
	}
	return last.Incarnation, nil
}

// Lineage gives the incarnations of the store, the present one last, each with the position after which it began. A store that was
// restored from a backup has those of the store that was backed up before its own.
func (c *Client) Lineage(ctx context.Context) (ids []string, began []uint64, err error) {
	present, err := c.Incarnation(ctx)
	if err != nil {
		return nil, nil, err
	}
	for r, err := range c.Read(ctx, es.AnyStreamID(embeddedIncarnation), 0) {
		if denied, ok := errors.AsType[*esdb.Error](err); ok && denied.Code() == esdb.ErrorCodeAccessDenied {
			break // not ours
		}
		var one incarnation
		if err == nil {
			err = json.Unmarshal(r.Data, &one)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the event store's incarnations: %w", err)
		}
		ids, began = append(ids, one.Incarnation), append(began, max(r.Position, 1)-1)
	}
	if len(ids) == 0 || ids[len(ids)-1] != present { // another server, whose incarnation is a stream of ours
		return []string{present}, []uint64{0}, nil
	}
	return ids, began, nil
}
