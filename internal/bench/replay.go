package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/commands/stock"
	"github.com/daybook-dev/daybook/internal/embedded/eventserver/store"
	"github.com/daybook-dev/daybook/internal/es"
)

const (
	replayed, quicklyReplayed = 200_000, 20_000
	aisles                    = 200 // streams that they are in
)

// replay: the log read from its beginning: as records, decoded and folded, and within the process that stores it.
func (b *bench) replay(ctx context.Context) error {
	if err := b.startEvents(ctx); err != nil {
		return err
	}
	n := replayed
	if b.cfg.Quick {
		n = quicklyReplayed
	}
	after, err := b.store.End(ctx)
	if err != nil {
		return err
	}
	b.sayf("replay: recording %d events", n)
	if err := b.record(ctx, n); err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		read func() (int, error)
	}{
		{"TCP, read", func() (got int, err error) {
			for _, err := range b.store.ReadAll(ctx, after) {
				if err != nil {
					return got, err
				}
				got++
			}
			return got, nil
		}},
		{"TCP, decoded and folded", func() (int, error) { return b.fold(ctx, after) }},
	} {
		if err := b.timed(one.name, n, b.events.process(), one.read); err != nil {
			return err
		}
	}
	return b.replayStore(n)
}

// record appends what a warehouse that is often filled has, through a handler.
func (b *bench) record(ctx context.Context, n int) error {
	h := es.NewHandler(b.store, b.cfg.Catalog, time.Now)
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

func (b *bench) fold(ctx context.Context, after uint64) (got int, err error) {
	states := map[string]*stock.Stock{}
	for record, err := range b.store.ReadAll(ctx, after) {
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
	r := row("replay", name, rounds, 1)
	if name == "TCP, decoded and folded" {
		r.Note = aim("≥ 300 k/s", r.PerSecond >= 300_000)
	}
	b.out.Rows = append(b.out.Rows, r)
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
	return b.timed("store in process, read", n, here(), func() (got int, err error) {
		err = s.ReadAll(1, func(r *store.Record) bool {
			if string(r.Type) == "bench.happened" {
				got++
			}
			return true
		})
		return got, err
	})
}
