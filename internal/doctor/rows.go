package doctor

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/kit/doctor"
)

// checkRows is I3: every live build's rows and versions against the fold of the log, each partition as far as its
// checkpoint, all in one snapshot.
func checkRows(ctx context.Context, cfg Config, r *doctor.Report) ([]*build, error) {
	if cfg.Pool == nil {
		return nil, nil // said already
	}
	began := time.Now()
	conn, err := cfg.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, asOfNow)
	if err != nil {
		return nil, fmt.Errorf("reading the read models: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	builds, err := liveBuilds(ctx, tx, cfg, r)
	if err != nil {
		return nil, fmt.Errorf("reading the read models: %w", err)
	}
	if len(builds) == 0 {
		return nil, nil
	}
	if err := foldAll(ctx, cfg, tx.Conn().TypeMap(), builds, r); err != nil {
		return nil, err
	}
	took(r, "the log is folded into rows", "", began)
	began = time.Now()
	if err := compareAll(ctx, cfg.Pool, tx, builds, r); err != nil {
		return nil, err
	}
	took(r, "rows and versions are compared", "I3", began)
	return builds, nil
}

var asOfNow = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// compareAll reads the builds' tables, several at a time, over connections that share the snapshot of tx.
func compareAll(ctx context.Context, pool *pgxpool.Pool, tx pgx.Tx, builds []*build, r *doctor.Report) error {
	var snapshot string
	if err := tx.QueryRow(ctx, `select pg_export_snapshot()`).Scan(&snapshot); err != nil {
		return fmt.Errorf("sharing a snapshot of the read models: %w", err)
	}
	var all []*reading
	for _, b := range builds {
		all = append(all, &reading{build: b, table: b.table(""), report: doctor.NewReport()})
		if b.plan.HasVersions() {
			all = append(all, &reading{build: b, table: b.table("_history"), past: true, report: doctor.NewReport()})
		}
	}
	work := make(chan *reading, len(all))
	for _, t := range all {
		work <- t
	}
	close(work)
	readAll := func(ctx context.Context, tx pgx.Tx) error {
		for t := range work {
			if err := t.read(ctx, tx); err != nil {
				return fmt.Errorf("comparing the read model %s: %w", t.build.plan.Name, err)
			}
		}
		return nil
	}
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error { return readAll(within, tx) })
	for range min(runtime.GOMAXPROCS(0), int(pool.Config().MaxConns)/2) - 1 {
		group.Go(func() error { return besides(within, pool, snapshot, readAll) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, t := range all {
		t.missing()
		r.Merge(t.report)
	}
	return nil
}

// besides runs f in a snapshot that another transaction exported.
func besides(ctx context.Context, pool *pgxpool.Pool, snapshot string, f func(context.Context, pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, pool, asOfNow, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set transaction snapshot '`+snapshot+`'`); err != nil {
			return fmt.Errorf("taking over a snapshot of the read models: %w", err)
		}
		return f(ctx, tx)
	})
}
