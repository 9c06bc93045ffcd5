package eventserver_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/anishathalye/porcupine"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var linearRounds = flag.Int("linear", 2, "histories checked for linearizability")

type operation struct {
	read bool
	at   int64 // expected revision: -2 any, -1 none
}

type outcome struct {
	unknown bool
	wrong   bool
	last    int64 // revision after it
}

// oneStream says what appends to one stream may answer: its state is the last revision. An unknown outcome may have
// happened or not.
var oneStream = porcupine.NondeterministicModel{
	Init: func() []any { return []any{int64(-1)} },
	Step: func(state, in, out any) []any {
		last, op, res := state.(int64), in.(operation), out.(outcome)
		fits := op.at == -2 || op.at == last
		switch {
		case op.read:
			if res.unknown || res.last == last {
				return []any{last}
			}
			return nil
		case res.unknown && fits:
			return []any{last, last + 1}
		case res.unknown:
			return []any{last}
		case res.wrong:
			if fits || res.last != last {
				return nil
			}
			return []any{last}
		case fits && res.last == last+1:
			return []any{last + 1}
		}
		return nil
	},
	Equal: func(a, b any) bool { return a == b },
}

func TestLinearizable(t *testing.T) {
	t.Parallel()
	for round := range *linearRounds {
		s := start(t)
		const clients, perClient, streamCount = 16, 60, 4
		histories := make([][]porcupine.Operation, streamCount)
		var mu sync.Mutex
		var wg sync.WaitGroup
		began := time.Now()
		for id := range clients {
			c := connect(t, s)
			rng := rand.New(rand.NewPCG(uint64(round), uint64(id)))
			wg.Go(func() {
				guess := make([]int64, streamCount)
				for i := range guess {
					guess[i] = -1
				}
				for range perClient {
					st := rng.IntN(streamCount)
					op := operation{read: rng.IntN(4) == 0, at: guess[st]}
					if rng.IntN(5) == 0 {
						op.at = -2
					}
					call := int64(time.Since(began))
					res := perform(c, fmt.Sprintf("s-%d", st), op, rng.IntN(8) == 0)
					mu.Lock()
					end := int64(time.Since(began))
					if res.unknown {
						end = int64(time.Hour) // it may take effect at any time
					}
					histories[st] = append(histories[st], porcupine.Operation{ClientId: id, Input: op, Call: call, Output: res, Return: end})
					mu.Unlock()
					if !res.unknown {
						guess[st] = res.last
					}
				}
			})
		}
		wg.Wait()
		unknown := 0
		for st, h := range histories {
			for i := range h {
				if h[i].Output.(outcome).unknown {
					h[i].ClientId = clients + i // its client went on
					unknown++
				}
			}
			if got := porcupine.CheckOperationsTimeout(oneStream.ToModel(), h, 20*time.Second); got != porcupine.Ok {
				t.Errorf("round %d, stream %d: %d operations: %s", round, st, len(h), got)
			}
		}
		t.Logf("%d operations, %d with unknown outcome", clients*perClient, unknown)
	}
}

// TestLinearModel shows that the model refuses what it should: two appends at one revision, and a stale read.
func TestLinearModel(t *testing.T) {
	t.Parallel()
	op := func(at int64, read bool, o outcome, call, end int64) porcupine.Operation {
		return porcupine.Operation{ClientId: int(call), Input: operation{read: read, at: at}, Output: o, Call: call, Return: end}
	}
	for name, h := range map[string][]porcupine.Operation{
		"two winners": {op(-1, false, outcome{last: 0}, 1, 5), op(-1, false, outcome{last: 0}, 2, 6)},
		"stale read":  {op(-1, false, outcome{last: 0}, 1, 2), op(0, true, outcome{last: -1}, 3, 4)},
		"stale wrong version": {op(-1, false, outcome{last: 0}, 1, 2), op(0, false, outcome{last: 1}, 3, 4),
			op(-1, false, outcome{wrong: true, last: 0}, 5, 6)},
		"unknown that cannot have happened": {op(-1, false, outcome{unknown: true}, 1, 9), op(0, false, outcome{last: 1}, 2, 3), op(0, true, outcome{last: 0}, 4, 5)},
	} {
		if porcupine.CheckOperations(oneStream.ToModel(), h) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func perform(c *esdb.Client, stream string, op operation, hasty bool) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if op.read {
		r, err := c.ReadStream(ctx, stream, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1)
		if err != nil {
			return outcome{unknown: true}
		}
		defer r.Close()
		e, err := r.Recv()
		switch {
		case clienttest.Code(err) == esdb.ErrorCodeResourceNotFound:
			return outcome{last: -1}
		case err != nil:
			return outcome{unknown: true}
		}
		return outcome{last: int64(e.Event.EventNumber)}
	}
	var at esdb.ExpectedRevision = esdb.Any{}
	switch {
	case op.at == -1:
		at = esdb.NoStream{}
	case op.at >= 0:
		at = esdb.Revision(uint64(op.at))
	}
	if hasty { // gives up in the middle
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
		defer stop()
	}
	res, err := c.AppendToStream(ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: at}, clienttest.Event(1))
	var e *esdb.Error
	switch {
	case err == nil:
		return outcome{last: int64(res.NextExpectedVersion)}
	case errors.As(err, &e) && e.Code() == esdb.ErrorCodeWrongExpectedVersion:
		last := int64(-1)
		if n := wrongAt(e.Error()); n >= 0 {
			last = n
		}
		return outcome{wrong: true, last: last}
	}
	return outcome{unknown: true}
}

// wrongAt reads the revision out of the client's words; it keeps it nowhere else.
func wrongAt(text string) int64 {
	var expected string
	n := int64(-1)
	for i := range text {
		if k, err := fmt.Sscanf(text[i:], "expecting '%s but got '%d'", &expected, &n); k == 2 && err == nil {
			return n
		}
	}
	return -1
}
