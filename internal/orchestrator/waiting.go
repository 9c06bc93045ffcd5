package orchestrator

import (
	"encoding/json"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// row is an instance as Postgres has it.
type row struct {
	id        es.StreamID
	partition int
	revision  uint64
	status    machine.Status
	waiting   []byte
	due       time.Time // zero: never
	err       string
	started   time.Time
}

// rowOf says what the instance waits for. The caller holds e.mu.
func (o *Orchestrator) rowOf(e *entry) row {
	r := row{
		id: e.id, partition: o.partition(e.id), revision: e.next, status: e.run.Status(),
		due: o.due(e), started: e.started,
	}
	waiting := []Waiting{}
	for _, f := range e.run.Effects() {
		waiting = append(waiting, Waiting{
			Kind: "command", ID: f.ID, Step: f.Step, Item: f.Item, Attempt: f.Attempt, Direction: f.Direction,
			Command: f.Command.CommandType(), Stream: f.Command.Stream().String(), At: f.NotBefore,
		})
		if s := e.sending[f.ID]; s != nil && s.err != "" {
			r.err = s.err
		}
	}
	for _, t := range e.run.Timers() {
		w := Waiting{Kind: "timer", ID: t.ID, Step: t.Step, At: t.Due}
		if t.Step == r.status.Step {
			w.Reminded = r.status.Reminded
		}
		if t.Reminder > 0 {
			w.Kind = "reminder"
		}
		waiting = append(waiting, w)
	}
	r.waiting, _ = json.Marshal(waiting) //nolint:errchkjson // strings, numbers and times
	return r
}

// due is when somebody must look at the instance. The caller holds e.mu.
func (o *Orchestrator) due(e *entry) (at time.Time) {
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, f := range e.run.Effects() {
		sooner(e.effectAt(f, o.cfg.Now()))
	}
	for _, t := range e.run.Timers() {
		sooner(e.timerAt(t))
	}
	if e.run.Status().Changed { // a program with the former definition goes on
		sooner(o.cfg.Now().Add(o.cfg.stuckRetry))
	}
	return at
}

func (e *entry) effectAt(f machine.Effect, now time.Time) time.Time {
	at := f.NotBefore
	if s := e.sending[f.ID]; s != nil && s.next.After(at) {
		at = s.next
	}
	if at.IsZero() {
		at = now
	}
	return at
}

func (e *entry) timerAt(t machine.Timer) time.Time {
	if s := e.sending[t.ID]; s != nil && s.next.After(t.Due) {
		return s.next
	}
	return t.Due
}
