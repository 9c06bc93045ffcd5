package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/daybook-dev/daybook/internal/demo"
)

// command: 64 clients receive goods over HTTP, spread over many SKUs and all on one, beside pgx's INSERT from as many.
func (b *bench) command(ctx context.Context) error {
	if err := b.startPostgres(ctx); err != nil {
		return err
	}
	if err := b.startSystem(ctx); err != nil {
		return err
	}
	spread, hot := "HTTP receipt, 64 clients", "HTTP receipt, all of one SKU"
	profiled := b.profile(ctx, "command")
	err := b.turns(ctx, "command",
		subject{name: spread, workers: clients, under: b.system.process(), op: func(ctx context.Context, _ int) error {
			return b.shop.receive(ctx, b.any(), 1)
		}},
		b.pgx(clients),
		subject{name: hot, workers: clients, under: b.system.process(), op: func(ctx context.Context, _ int) error { return b.shop.receive(ctx, sku(0), 1) }},
	)
	if err = errors.Join(err, profiled()); err != nil {
		return err
	}
	behind, err := b.rest(ctx)
	if err != nil {
		return err
	}
	b.note(hot, fmt.Sprintf("the read models showed all %.1f s later", behind.Seconds()))
	b.out.beside("command", spread, named("pgx INSERT", clients), 1)
	b.out.beside("command", hot, spread, 0.5)
	return nil
}

// rowOf is a row whose latencies were gathered on the way.
func rowOf(bench, name string, s sample, g *gathered) Row {
	r := row(bench, name, []sample{s}, 1)
	r.Latency = demo.Measured(g.took)
	return r
}
