package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	deliveredRate = 1000 // events a second
	deliverers    = 64   // streams that they are in
)

// delivery: how long after it was due to be appended a subscriber has an event, while another subscriber reads nothing
// of what it is sent. Its stores have nothing else to do: no flushing of what the appends' rounds left behind.
func (b *bench) delivery(ctx context.Context) error {
	if err := b.startEvents(ctx); err != nil {
		return err
	}
	within, err := b.embed(ctx, "delivered")
	if err != nil {
		return err
	}
	defer func() { _ = within.close() }()
	for _, one := range []struct {
		name   string
		client *esclient.Client
		under  process
	}{{withinProcess, within.local, here()}, {"TCP", b.store, b.events.process()}} {
		name := fmt.Sprintf("%s, %d/s, beside one that reads nothing", one.name, deliveredRate)
		b.sayf("delivery: %s", name)
		if err := shelved(ctx, one.client); err != nil {
			return fmt.Errorf("delivery, %s: %w", one.name, err)
		}
		got, s, err := b.delivered(ctx, one.client, one.under)
		if err != nil {
			return fmt.Errorf("delivery, %s: %w", one.name, err)
		}
		r := rowOf("delivery", name, s, got)
		r.Note = aim("p99 ≤ 5 ms", r.Latency.P99 <= 5)
		b.out.Rows = append(b.out.Rows, r)
	}
	return b.beside(ctx)
}

// beside: appends while subscribers read nothing of what they are sent, and while there are none.
func (b *bench) beside(ctx context.Context) error {
	const writers, subscribers = 64, 4
	var subjects []subject
	for _, still := range []int{0, subscribers} {
		name := named("appends, no subscriber", writers)
		if still > 0 {
			name = named(fmt.Sprintf("appends, %d subscribers that stand still", still), writers)
		}
		e, err := b.embed(ctx, fmt.Sprintf("beside-%d", still))
		if err != nil {
			return err
		}
		defer func() { _ = e.close() }()
		if err := shelved(ctx, e.local); err != nil {
			return err
		}
		for i := range still {
			end, err := standStill(ctx, []*esclient.Client{e.local, e.socket}[i%2])
			if err != nil {
				return err
			}
			defer end()
		}
		subjects = append(subjects, subject{name: name, workers: writers, under: here(), op: through(e.local, writers, 1)})
	}
	if err := b.turns(ctx, "delivery", subjects...); err != nil {
		return err
	}
	b.out.beside("delivery", subjects[1].name, subjects[0].name, 0.9)
	return nil
}

// standStill follows the log from its beginning and reads nothing after the first event, until what it gives is called.
func standStill(ctx context.Context, c *esclient.Client) (end func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	begun, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for _, err := range c.Follow(ctx, 0) {
			begun <- err
			<-ctx.Done()
			return
		}
		begun <- ctx.Err()
	}()
	end = func() {
		cancel()
		<-ended
	}
	if err := <-begun; err != nil {
		end()
		return nil, fmt.Errorf("a subscriber that reads nothing: %w", err)
	}
	return end, nil
}

// shelved appends more than a subscriber that reads nothing is ever sent.
func shelved(ctx context.Context, c *esclient.Client) error {
	const batches, batch = 100, 200
	expected := es.NoStream
	stream := es.StreamID{Category: "delivery", Key: fmt.Sprintf("shelf-%d", streams.Add(1))}
	for range batches {
		events := make([]es.Proposed, batch)
		for i := range events {
			events[i] = es.Proposed{ID: es.UUID(uuid.New()), Type: "bench.happened", Data: payload, Meta: payload}
		}
		if _, err := c.Append(ctx, stream, expected, events); err != nil {
			return fmt.Errorf("append what a subscriber is to read: %w", err)
		}
		expected += batch
	}
	return nil
}

func (b *bench) delivered(ctx context.Context, c *esclient.Client, under process) (*gathered, sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	after, err := c.End(ctx)
	if err != nil {
		return nil, sample{}, err
	}
	end, err := standStill(ctx, c)
	if err != nil {
		return nil, sample{}, err
	}
	defer end()
	got, due := &gathered{}, make(map[uuid.UUID]time.Time)
	var mu sync.Mutex
	caughtUp, seen, failed := make(chan struct{}), make(chan struct{}, 1<<20), make(chan error, 1)
	all.Go(func() {
		said := false
		for r, err := range c.Follow(ctx, after) {
			switch {
			case err != nil:
				failed <- err
				return
			case r.Position == 0 && !said:
				said = true
				close(caughtUp)
			}
			mu.Lock()
			at, ok := due[uuid.UUID(r.ID)]
			mu.Unlock()
			if ok {
				got.add(time.Since(at))
				seen <- struct{}{}
			}
		}
	})
	select {
	case <-caughtUp:
	case err := <-failed:
		return nil, sample{}, err
	}
	subject := streams.Add(1)
	at, busy := make([]es.Expected, deliverers), make([]sync.Mutex, deliverers)
	for i := range at {
		at[i] = es.NoStream
	}
	s, err := b.open(ctx, deliveredRate, under, func(ctx context.Context, i int, when time.Time) error {
		w := i % deliverers
		busy[w].Lock()
		defer busy[w].Unlock()
		id := uuid.New()
		binary.BigEndian.PutUint32(id[:], uint32(i)) //nolint:gosec // small
		mu.Lock()
		due[id] = when
		mu.Unlock()
		_, err := c.Append(ctx, es.StreamID{Category: "delivery", Key: fmt.Sprintf("%d-%d", subject, w)}, at[w],
			[]es.Proposed{{ID: es.UUID(id), Type: "bench.happened", Data: payload, Meta: payload}})
		at[w]++
		return err
	})
	for n := 0; err == nil && n < s.ops; n++ {
		select {
		case <-seen:
		case err = <-failed:
		case <-time.After(10 * time.Second):
			err = errors.New("an event was not delivered")
		}
	}
	return got, s, err
}
