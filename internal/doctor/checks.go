package doctor

import (
	"context"
	"iter"
	"time"

	"github.com/daybook-dev/daybook/kit/doctor"
)

// readOutside reads what other systems keep, with the log in between. If the log is read on after that, what was read outside is too old.
func (h *history) readOutside(ctx context.Context) error {
	spent := map[int]time.Duration{}
	ask := func() error {
		for i, c := range h.cfg.Checks {
			if c.Outside == nil {
				continue
			}
			began := time.Now()
			if err := c.Outside(ctx, h.out); err != nil {
				return err
			}
			spent[i] += time.Since(began)
		}
		return nil
	}
	if err := ask(); err != nil || len(spent) == 0 {
		return err
	}
	end, began := h.end, time.Now()
	if err := h.read(ctx); err != nil {
		return err
	}
	reading := time.Since(began)
	if h.end > end {
		h.moved()
	}
	if err := ask(); err != nil {
		return err
	}
	for i, c := range h.cfg.Checks {
		if c.Outside != nil {
			h.out.Took = append(h.out.Took, doctor.Took{Part: c.Name, Seconds: (spent[i] + reading).Seconds()})
		}
	}
	return nil
}

// moved says that the log has grown since everything seemed to be at rest.
func (h *history) moved() {
	h.top.AtRest = false
	h.top.Movef("the log has grown while it was looked at")
}

// awaits names what is awaited for a key from outside, as the checks know; if none does, an intent of it that a reactor attends to.
func (h *history) awaits(key string) string {
	known := false
	for _, c := range h.cfg.Checks {
		if c.Awaits == nil {
			continue
		}
		if what := c.Awaits(key); what != "" {
			return what
		}
		known = true
	}
	if !known && h.open.keys[key] {
		return "the outcome of an intent"
	}
	return ""
}

// look lets the checks look at everything.
func (h *history) look(builds []*build) {
	attended := h.attended
	if !h.top.AtRest { // more may be attended to by now
		attended = nil
	}
	seen := doctor.Seen{Resting: h.resting, Attended: attended, Rows: func(readModel string) iter.Seq[doctor.Row] { return rowsOf(builds, readModel) }}
	for _, c := range h.cfg.Checks {
		if c.Look == nil {
			continue
		}
		began := time.Now()
		c.Look(seen, h.out)
		took(h.out, c.Name, c.Invariants, began)
	}
}

// resting tells whether every instance of a key has begun and ended.
func (h *history) resting(key string) bool {
	for _, id := range h.dueOf[key] {
		if h.instances[id] == nil && h.due[id].record.Position > h.deployed[id.Category] {
			return false
		}
	}
	for _, i := range h.byKey[key] {
		if h.standing(i).kind != ended {
			return false
		}
	}
	return true
}

// rowsOf gives the rows of a read model as they were folded.
func rowsOf(builds []*build, readModel string) iter.Seq[doctor.Row] {
	return func(yield func(doctor.Row) bool) {
		for _, b := range builds {
			if b.plan.Name != readModel {
				continue
			}
			for _, p := range b.parts {
				for k, row := range p.rows {
					columns := map[string]any{}
					for i, field := range p.batch.Fields(k) {
						columns[b.columns[i].name] = deref(field)
					}
					if !yield(doctor.Row{Name: b.table("") + " " + k.String(), Key: k.Key, Revision: uint64(row.stamp.Revision), Columns: columns}) { //nolint:gosec // a revision
						return
					}
				}
			}
		}
	}
}
