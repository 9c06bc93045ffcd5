package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	replayed, quicklyReplayed = 200_000, 20_000
	aisles                    = 200 // streams that they are in
)

// replay: the log read from its beginning: into a fold of what records are without decoding them, decoded and folded, and from the
// store alone.
func (b *bench) replay(ctx context.Context) error {
	if err := b.startEvents(ctx); err != nil {
		return err
	}
	within, err := b.embed(ctx, "replayed")
	if err != nil {
		return err
	}
	defer func() { _ = within.close() }()
	n := replayed
	if b.cfg.Quick {
		n = quicklyReplayed
	}
	for _, from := range []struct {
		name  string
		c     *esclient.Client
		under process
	}{{withinProcess, within.local, here()}, {"Unix socket", within.socket, here()}, {"TCP", b.store, b.events.process()}} {
		after, err := from.c.End(ctx)
		if err != nil {
			return err
		}
		if after == 0 || from.c == b.store {
			b.sayf("replay: recording %d events", n)
			if err := b.record(ctx, from.c, n); err != nil {
				return err
			}
		} else {
			after = 0 // of the same store
		}
		counted := from.name + ", counted and summed by stream"
		if err := b.timed(counted, n, from.under, func() (int, error) { return tally(ctx, from.c, after) }); err != nil {
			return err
		}
		row := &b.out.Rows[len(b.out.Rows)-1]
		row.Note = aim("≥ 300 k/s", row.PerSecond >= 300_000)
		if err := b.timed(from.name+", decoded and folded", n, from.under, func() (int, error) { return b.fold(ctx, from.c, after) }); err != nil {
			return err
		}
	}
	return b.replayStore(n)
}

// tally folds what needs no decoding.
func tally(ctx context.Context, c *esclient.Client, after uint64) (got int, err error) {
	type sum struct{ events, bytes int }
	sums := map[es.StreamID]*sum{}
	for r, err := range c.ReadAll(ctx, after) {
		if err != nil {
			return got, err
		}
		s := sums[r.Stream]
		if s == nil {
			s = &sum{}
			sums[r.Stream] = s
		}
		if uint64(s.events) != r.Revision { //nolint:gosec // not negative
			return got, fmt.Errorf("%s: revision %d came as the %d. event", r.Stream, r.Revision, s.events)
		}
		s.events++
		s.bytes += len(r.Data) + len(r.Meta)
		got++
	}
	return got, nil
}

// record appends what a warehouse that is often filled has, through a handler.
func (b *bench) record(ctx context.Context, c *esclient.Client, n int) error {
	h := es.NewHandler(c, b.cfg.Catalog, time.Now)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for a := range aisles {
		g.Go(func() error {
			asked := make([]es.Asked[stock.Stock], n/aisles)
			for i := range asked {
				asked[i].Decision = stock.Receive{SKU: fmt.Sprintf("AISLE-%d", a), ReceiptID: fmt.Sprintf("r%d", i), Quantity: 1}
			}
			_, err := es.HandleAll(ctx, h, asked)
			return err
		})
	}
	return g.Wait()
}

func (b *bench) fold(ctx context.Context, c *esclient.Client, after uint64) (got int, err error) {
	states := map[string]*stock.Stock{}
	for record, err := range c.ReadAll(ctx, after) {
		if err != nil {
			return got, err
		}
		e, err := b.cfg.Catalog.Open(record)
		if err != nil {
			return got, err
		}
		s := states[e.Stream.Key]
		if s == nil {
			s = &stock.Stock{}
			states[e.Stream.Key] = s
		}
		s.Evolve(e.Event)
		got++
	}
	if len(states) != aisles {
		return got, fmt.Errorf("%d streams were folded, not %d", len(states), aisles)
	}
	return got, nil
}

// timed reads everything once per round.
func (b *bench) timed(name string, n int, under process, read func() (int, error)) error {
	var rounds []sample
	for range b.rounds {
		b.sayf("replay: %s", name)
		before, err := under.usage()
		if err != nil {
			return err
		}
		began := time.Now()
		got, err := read()
		took := time.Since(began)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case got != n:
			return fmt.Errorf("%s: %d events were read, not %d", name, got, n)
		}
		now, err := under.usage()
		if err != nil {
			return err
		}
		rounds = append(rounds, sample{ops: got, seconds: took.Seconds(), used: now.since(before)})
	}
	b.out.Rows = append(b.out.Rows, row("replay", name, rounds, 1))
	return nil
}

// replayStore reads a store without any protocol.
func (b *bench) replayStore(n int) error {
	s, err := store.Open(store.Config{Dir: filepath.Join(b.dir, "replay")})
	if err != nil {
		return fmt.Errorf("open a store in this process: %w", err)
	}
	defer func() { _ = s.Close() }()
	const per = 500
	for at := 0; at < n; at += per {
		events := make([]store.Event, per)
		for i := range events {
			events[i] = store.Event{ID: store.ID(uuid.New()), Type: "bench.happened", JSON: true, Data: payload, Meta: payload}
		}
		if r := s.Do(store.Request{Stream: fmt.Sprintf("bench-%d", at), Expected: store.ExpectNoStream, Events: events}); r.Err != nil {
			return r.Err
		}
	}
	return b.timed(storeAlone+", read", n, here(), func() (got int, err error) {
		err = s.ReadAll(1, func(r *store.Record) bool {
			if string(r.Type) == "bench.happened" {
				got++
			}
			return true
		})
		return got, err
	})
}
