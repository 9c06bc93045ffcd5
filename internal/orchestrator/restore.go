package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// restore writes a row for each instance that is not over, if Postgres has lost what the sagas had heard: one pass over the log, of which
// it reads the sagas' own events alone. So what is owed is sent, and timers are awaited, long before the feed has come to it again. A row
// says when somebody must look at its instance, as its newest event has it, and is of revision 0: any other replaces it.
func (o *Orchestrator) restore(ctx context.Context) error {
	lost, from, err := o.lost(ctx)
	if err != nil || len(lost) == 0 {
		return err
	}
	open := map[es.StreamID]row{}
	for rec, err := range o.cfg.Store.ReadAll(ctx, from) {
		if err != nil {
			return fmt.Errorf("look in the log for what sagas owe: %w", err)
		}
		if rec.Type != (machine.Stepped{}).EventType() || !lost[rec.Stream.Category] {
			continue
		}
		if err := o.owes(ctx, open, rec); err != nil {
			return fmt.Errorf("look in the log for what sagas owe: %w", err)
		}
	}
	rows := slices.Collect(maps.Values(open))
	for some := range slices.Chunk(rows, maxDue) {
		var b pgx.Batch
		queue(&b, upsert, some)
		if err := o.cfg.Pool.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("write what %d instances of sagas owe: %w", len(rows), err)
		}
	}
	if len(rows) > 0 {
		o.cfg.Logger.Info("sagas: what they owe was read from the log", "instances", len(rows))
	}
	return nil
}

// lost are the sagas that lack checkpoints, and where the first of them begins.
func (o *Orchestrator) lost(ctx context.Context) (lost map[string]bool, from uint64, err error) {
	rows, err := o.cfg.Pool.Query(ctx, `select name from daybook.saga_checkpoint where name = any($1) group by name having count(*) >= $2`, o.names(), o.cfg.Partitions)
	known, err := collected(rows, err, "read which sagas have checkpoints", pgx.RowTo[string])
	if err != nil {
		return nil, 0, err
	}
	lost = map[string]bool{}
	for _, name := range o.names() {
		lost[name] = true
	}
	for _, name := range known {
		delete(lost, name)
	}
	first := true
	for name := range lost {
		if at := o.cfg.First[name]; first || at < from {
			from, first = at, false
		}
	}
	return lost, from, nil
}

// owes takes what an event says of its instance. One that has ended, and owes nothing, is left out.
func (o *Orchestrator) owes(ctx context.Context, open map[es.StreamID]row, rec es.Record) error {
	e, err := o.cfg.Catalog.Open(rec)
	if err != nil {
		return err
	}
	stepped, ok := e.Event.(machine.Stepped)
	if !ok {
		return fmt.Errorf("%s@%d is no event of a saga", rec.Stream, rec.Revision)
	}
	r, known := open[rec.Stream]
	if !known {
		r = row{id: rec.Stream, partition: o.partition(rec.Stream), started: rec.Created, waiting: []byte("[]")}
	}
	if !known && stepped.Started() == nil { // it had ended, and goes on
		for first, err := range o.cfg.Store.Read(ctx, rec.Stream, 0) {
			if err != nil {
				return err
			}
			e, err := o.cfg.Catalog.Open(first)
			if err != nil {
				return err
			}
			began, _ := e.Event.(machine.Stepped)
			r.status, r.started = began.Status(r.status), first.Created
			break
		}
	}
	r.status, r.due = stepped.Status(r.status), stepped.Due
	if open[rec.Stream] = r; r.due.IsZero() && r.status.Phase.Over() && r.status.Until.Before(o.cfg.Now()) {
		delete(open, rec.Stream)
	}
	return nil
}
