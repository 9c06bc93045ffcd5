package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/secrets"
)

// Figure is one number that is no rate.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

const (
	settles, quicklySettles     = 35 * time.Second, time.Second
	watched, quicklyWatched     = time.Minute, time.Second
	orders, quicklyOrdered      = 1000, 20
	atRest, withOrders, percent = "at rest", "after the orders", "% of a core"
)

func (b *bench) figure(name string, value float64, unit string) {
	b.out.Figures = append(b.out.Figures, Figure{name, value, unit})
}

// costs: what a whole system uses while nothing happens, and what an order costs it: events, CPU, disk.
func (b *bench) costs(ctx context.Context) error {
	if err := b.startSystem(ctx); err != nil {
		return err
	}
	if err := b.idle(ctx); err != nil {
		return err
	}
	connection, err := secrets.WithLogin(b.system.EventStore)
	if err != nil {
		return err
	}
	log, err := esclient.Open(ctx, esclient.Config{ConnectionString: connection})
	if err != nil {
		return fmt.Errorf("connect to the system's event store: %w", err)
	}
	defer func() { _ = log.Close() }()
	from, err := log.End(ctx)
	if err != nil {
		return err
	}
	n := orders
	if b.cfg.Quick {
		n = quicklyOrdered
	}
	diskBefore, err := kept(b.system.dir)
	if err != nil {
		return err
	}
	s, err := b.some(ctx, n)
	if err != nil {
		return err
	}
	diskAfter, err := kept(b.system.dir)
	if err != nil {
		return err
	}
	events := 0
	for rec, err := range log.ReadAll(ctx, from) {
		if err != nil {
			return fmt.Errorf("count the events: %w", err)
		}
		if !strings.HasPrefix(rec.Stream.Category, "$") {
			events++
		}
	}
	r := row("order", fmt.Sprintf("placed and ended, %d buyers, %d orders", buyers, n), []sample{s}, 1)
	b.out.Rows = append(b.out.Rows, r)
	b.figure("events per order", float64(events-1)/float64(n), "") // one is of the receipt that rest waits for
	b.figure("CPU per order, process", (r.CPU-r.Children)/1000, "ms")
	b.figure("CPU per order, Postgres", r.Children/1000, "ms")
	b.figure("kept on disk per order", float64(diskAfter-diskBefore)/float64(n)/1024, "KiB")
	return b.resident(withOrders)
}

// idle lets the system come to rest and watches it.
func (b *bench) idle(ctx context.Context) error {
	settle, watch := settles, watched
	if b.cfg.Quick {
		settle, watch = quicklySettles, quicklyWatched
	}
	b.sayf("order: watching the system at rest for %s", settle+watch)
	begin := time.Now().Add(settle)
	used, _, err := b.during(ctx, begin, begin.Add(watch), b.system.process())
	if err != nil {
		return err
	}
	b.figure("CPU at rest, process", 100*(used.cpu-used.children).Seconds()/watch.Seconds(), percent)
	b.figure("CPU at rest, Postgres", 100*used.children.Seconds()/watch.Seconds(), percent)
	return b.resident(atRest)
}

// resident notes what the system has in memory. What processes share counts once.
func (b *bench) resident(when string) error {
	all, children, err := b.system.process().resident()
	if err != nil {
		return err
	}
	b.figure("memory of the process "+when, float64(all-children)/(1<<20), "MiB")
	b.figure("memory of Postgres "+when, float64(children)/(1<<20), "MiB")
	return nil
}

// some has n orders placed and ended, and waits for everything that follows.
func (b *bench) some(ctx context.Context, n int) (sample, error) {
	b.sayf("order: %d orders", n)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := time.Now().UnixMilli()
	before, err := b.system.process().usage()
	if err != nil {
		return sample{}, err
	}
	own, err := here().usage()
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	var next atomic.Int64
	var took gathered
	var all sync.WaitGroup
	for range buyers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n) && ctx.Err() == nil; i = next.Add(1) {
				id, due := fmt.Sprintf("c%d-%d", run, i), time.Now()
				if err := b.toItsEnd(ctx, id); err != nil {
					cancel(err)
				}
				took.add(time.Since(due))
			}
		})
	}
	all.Wait()
	ended := time.Since(began)
	_, err = b.rest(ctx)
	if err = errors.Join(context.Cause(ctx), err); err != nil {
		return sample{}, err
	}
	after, err := b.system.process().usage()
	if err != nil {
		return sample{}, err
	}
	ownAfter, err := here().usage()
	return sample{ops: n, seconds: ended.Seconds(), took: took.took, used: after.since(before), load: ownAfter.since(own)}, err
}

// toItsEnd places an order and waits until it has ended.
func (b *bench) toItsEnd(ctx context.Context, id string) error {
	body, goods := b.order(id)
	for {
		var o placed
		if _, err := b.shop.do(ctx, http.MethodPost, "/v1/orders", body, &o, "Idempotency-Key", id, "Prefer", "wait=30"); err != nil {
			return err
		}
		if o.Status != "placed" {
			return o.right(id, goods)
		}
	}
}

// kept is how many bytes a system's directory holds, without logs that are made anew in a circle.
func kept(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
			return nil
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "pg_wal":
			return fs.SkipDir
		case d.Type().IsRegular():
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("what is kept on disk: %w", err)
	}
	return n, nil
}
