package reactor_test

import (
	"context"
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// letters sends a letter for each booking. The post office takes two tries.
type letters struct{ sent map[es.UUID]bool }

func (letters) Name() string      { return "letters" }
func (letters) Intents() []string { return []string{"booking.confirmed"} }
func (letters) Wakes() []string   { return nil }

func (l letters) Attend(_ context.Context, t reactor.Task) (reactor.Next, error) {
	var tries int
	if err := t.Memo(&tries); err != nil {
		return reactor.Next{}, err
	}
	switch {
	case l.sent[t.ID]: // by the process before this one
		return reactor.Done(), nil
	case tries == 0: // no answer: it may have been sent, or not
		return reactor.Again(1), nil
	}
	l.sent[t.ID] = true
	return reactor.Done(), nil
}

func Example() {
	var l reactor.Reactor = letters{sent: map[es.UUID]bool{}}
	task := reactor.Task{ID: es.DerivedID(es.UUID{}, "booking 7"), Stream: es.StreamID{Category: "booking", Key: "7"}}

	next, err := l.Attend(context.Background(), task)
	fmt.Println(next.Closed, next.Memo, err)

	task.Left, task.Tries = []byte("1"), 1 // as the engine brings it again
	next, err = l.Attend(context.Background(), task)
	fmt.Println(next.Closed, err)
	// Output:
	// false 1 <nil>
	// true <nil>
}
