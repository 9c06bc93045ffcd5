package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/doctor"
)

// checkEngines looks at what the engines keep in Postgres: whatever is owed by the log must have a row that somebody will
// look at, else it is lost; and the relay's row must not claim more than the log has.
func checkEngines(ctx context.Context, cfg Config, h *history, r *doctor.Report) error {
	if cfg.Pool == nil {
		r.Skipf("Postgres: no address")
		return nil
	}
	behind, err := h.behind(ctx)
	if err != nil {
		return err
	}
	for _, b := range behind {
		switch {
		case cfg.Stopped:
			r.Notef("%s", b)
		case h.top.AtRest: // it was there before
			r.Find(doctor.Finding{Invariant: "I3", Problem: "a checkpoint has gone back: " + b})
		default:
			if now := cfg.Now(); now.Sub(h.newest) >= cfg.Patience {
				r.Find(doctor.Finding{Invariant: "I3", Problem: fmt.Sprintf("nothing was recorded for %s, and %s", now.Sub(h.newest).Round(time.Second), b)})
			}
		}
	}
	rested := h.end
	if err := h.checkRelay(ctx); err != nil {
		return err
	}
	ahead, err := checkpoint.FindAhead(ctx, cfg.Pool, h.end, cfg.Log.End)
	if err != nil {
		return err
	}
	for _, a := range ahead {
		r.Find(doctor.Finding{Invariant: "I3", Row: fmt.Sprintf("%s %s", a.Kind, a.Name), Problem: fmt.Sprintf("%s; %s", a, checkpoint.Remedy)})
	}
	if h.top.AtRest && h.end > rested { // checkRelay read on: rows of what it read may not be there yet
		h.moved()
		return nil
	}
	if !h.top.AtRest {
		return nil // rows follow the log
	}
	return h.checkWaiting(ctx)
}

// checkRelay holds the relay's row to the log.
func (h *history) checkRelay(ctx context.Context) error {
	state, err := topic.LoadState(ctx, h.cfg.Pool)
	if err != nil {
		return err
	}
	if state.Position > h.end {
		if err := h.read(ctx); err != nil {
			return err
		}
	}
	f := doctor.Finding{Invariant: "I8", Row: "daybook.relay"}
	if state.Position > h.end {
		f.Problem = "the relay says that it is beyond the end of the log"
		h.out.Find(f.Values(h.end, state.Position))
		return nil
	}
	last := make([]uint64, h.cfg.Partitions)
	for position, p := range h.places {
		if position <= state.Position {
			last[p.partition] = max(last[p.partition], position)
		}
	}
	for p, want := range last {
		if p < len(state.Last) && state.Last[p] != want {
			f.Problem = fmt.Sprintf("the relay's last position of partition %d", p)
			h.out.Find(f.Values(want, state.Last[p]))
		}
	}
	return nil
}

func (h *history) checkWaiting(ctx context.Context) error {
	rows, err := h.cfg.Pool.Query(ctx, `select instance, revision, due_at is not null from daybook.saga_instance`)
	if err != nil {
		return fmt.Errorf("reading what sagas wait for: %w", err)
	}
	type row struct {
		revision int64
		due      bool
	}
	var (
		name string
		one  row
	)
	known := map[string]row{}
	if _, err := pgx.ForEachRow(rows, []any{&name, &one.revision, &one.due}, func() error { known[name] = one; return nil }); err != nil {
		return fmt.Errorf("reading what sagas wait for: %w", err)
	}
	if err := h.readIntents(ctx); err != nil {
		return err
	}
	end, err := h.cfg.Log.End(ctx)
	if err != nil {
		return fmt.Errorf("asking where the log ends: %w", err)
	}
	if end > h.end { // then rows may be newer than what was read
		h.moved()
		return nil
	}
	for id, i := range h.instances {
		have, ok := known[id.String()]
		wants := len(i.run.Effects())+len(i.run.Timers()) > 0
		revision := i.events - 1
		f := doctor.Finding{Invariant: "I6", Stream: id.String(), Revision: &revision, Row: "daybook.saga_instance " + id.String()}
		switch {
		case wants && (!ok || !have.due):
			f.Problem = "no engine will look at an instance that still owes something"
			h.out.Find(f)
		case ok && uint64(have.revision) > i.events: //nolint:gosec // not negative
			f.Problem = "the row knows more than the instance's stream"
			h.out.Find(f.Values(i.events, have.revision))
		}
	}
	h.out.Checked["saga rows"] = len(known)
	h.checkIntents()
	return nil
}
