package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Resident is what a whole system has in memory at one moment of a long load, in MiB. What processes share counts once.
type Resident struct {
	Minute   float64 `json:"minute"`
	Orders   int64   `json:"orders"` // that have ended since the load began
	Process  float64 `json:"process_mib"`
	Postgres float64 `json:"postgres_mib"`
}

const (
	nameMemory                 = "memory" // takes long, so it is done only if it is named, or quick
	usualMinutes, usualBuyers  = 10, 64
	quickMinutes, quickBuyers  = 2, 4
	sampleEvery, quicklySample = time.Minute, time.Second
)

// memory: what a whole system has in memory while buyers place orders, wait for their ends and read them, minute after minute.
func (b *bench) memory(ctx context.Context) error {
	if err := b.startSystem(ctx); err != nil {
		return err
	}
	minutes, every := b.cfg.Minutes, sampleEvery
	if b.cfg.Quick {
		every = quicklySample
	}
	b.sayf("memory: %d buyers for %v", b.cfg.Buyers, time.Duration(minutes)*every)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began, ended := time.Now(), atomic.Int64{}
	if err := b.notice(began, 0); err != nil {
		return err
	}
	loading, finish := context.WithCancel(ctx)
	defer finish()
	var all sync.WaitGroup
	for buyer := range b.cfg.Buyers {
		all.Go(func() {
			for n := 0; n == 0 || loading.Err() == nil; n++ {
				if err := b.buyAndRead(ctx, fmt.Sprintf("m%d-%d-%d", began.UnixMilli(), buyer, n)); err != nil {
					cancel(err)
					return
				}
				ended.Add(1)
			}
		})
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range minutes {
		select {
		case <-tick.C:
			if err := b.notice(began, ended.Load()); err != nil {
				cancel(err)
			}
		case <-ctx.Done():
		}
	}
	finish()
	all.Wait()
	return errors.Join(context.Cause(ctx), b.notice(began, ended.Load()))
}

// buyAndRead drives an order to its end and reads it.
func (b *bench) buyAndRead(ctx context.Context, id string) error {
	if err := b.toItsEnd(ctx, id); err != nil {
		return err
	}
	_, err := b.shop.do(ctx, http.MethodGet, "/v1/orders/"+id, nil, nil)
	return err
}

// notice notes what the system has in memory.
func (b *bench) notice(began time.Time, orders int64) error {
	all, children, err := b.system.process().resident()
	if err != nil {
		return err
	}
	r := Resident{time.Since(began).Minutes(), orders, float64(all-children) / (1 << 20), float64(children) / (1 << 20)}
	b.out.Memory = append(b.out.Memory, r)
	b.sayf("memory: %s", r)
	return nil
}

func (r Resident) String() string {
	return fmt.Sprintf("minute %5.1f, %7d orders: process %5.0f MiB, Postgres %5.0f MiB, both %5.0f MiB", r.Minute, r.Orders, r.Process, r.Postgres, r.Process+r.Postgres)
}

// residents is the table of what a long load has in memory; empty if there was none.
func residents(all []Resident) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-8s %9s %12s %13s %9s\n", "minute", "orders", "process MiB", "Postgres MiB", "both MiB")
	for _, r := range all {
		fmt.Fprintf(&b, "%-8.1f %9d %12.0f %13.0f %9.0f\n", r.Minute, r.Orders, r.Process, r.Postgres, r.Process+r.Postgres)
	}
	return b.String()
}
