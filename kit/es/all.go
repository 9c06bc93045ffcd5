package es

import (
	"context"
	"fmt"
)

// Asked is one of several commands on one stream.
type Asked[S any] struct {
	Decision Decision[S]
	Call     Call
}

// Outcome is what became of one of them: what Handle returns.
type Outcome struct {
	Receipt Receipt
	Err     error
}

// HandleAll is Handle for many commands on one stream, decided in the order given and appended together, as many as a
// batch takes. Each has its own outcome. They must all be on the same stream.
func HandleAll[S any, P State[S]](ctx context.Context, h *Handler, asked []Asked[S]) ([]Outcome, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	stream := streamOf[S, P](asked[0].Decision)
	all := make([]*pending[S], len(asked))
	for i, a := range asked {
		if s := streamOf[S, P](a.Decision); s != stream {
			return nil, fmt.Errorf("commands on %s and %s cannot be handled together", stream, s)
		}
		all[i] = &pending[S]{ctx: ctx, decision: a.Decision, call: a.Call, done: make(chan struct{})}
	}
	l, err := laneOf[S, P](h, stream)
	if err != nil {
		return nil, err
	}
	defer h.lanes.Leave(stream)
	due := make([]*pending[S], 0, len(all))
	for _, p := range all {
		if p.err = l.future(p.call); p.err != nil {
			close(p.done)
		} else {
			due = append(due, p)
		}
	}
	if len(due) > 0 {
		l.submit(due...)
	}
	out := make([]Outcome, len(all))
	for i, p := range all {
		select {
		case <-p.done:
			out[i] = Outcome{p.receipt, p.err}
		case <-ctx.Done():
			out[i].Err = fmt.Errorf("%s on %s: %w: %w", p.decision.CommandType(), stream, ErrUnknownOutcome, ctx.Err())
		}
	}
	return out, nil
}
