package lease

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

// Numbers gives out the numbers of a range, one by one, out of blocks that it leases. A restart drops the rest of a block,
// so numbers have holes; none is given twice, however many processes lease. Safe for concurrent use.
type Numbers struct {
	handler *es.Handler
	of      Range
	turn    chan struct{} // holds one token: whose turn it is to touch what follows
	next    uint64
	to      uint64
}

// NewNumbers leases nothing before it is asked.
func NewNumbers(h *es.Handler, of Range) *Numbers {
	n := &Numbers{handler: h, of: of, turn: make(chan struct{}, 1)}
	n.turn <- struct{}{}
	return n
}

// Next gives a number that no other caller has.
func (n *Numbers) Next(ctx context.Context) (uint64, error) {
	select {
	case <-n.turn:
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for a number of %s: %w", n.of.Name, ctx.Err())
	}
	defer func() { n.turn <- struct{}{} }()
	if n.next == 0 || n.next > n.to {
		taken, err := n.take(ctx)
		if err != nil {
			return 0, fmt.Errorf("lease numbers of %s: %w", n.of.Name, err)
		}
		n.next, n.to = taken.From, taken.To
	}
	given := n.next
	n.next++
	return given, nil
}

// take leases a block. One whose outcome stayed unknown for a moment is lost, like the rest of a block at a restart.
func (n *Numbers) take(ctx context.Context) (events.LeaseTaken, error) {
	for {
		taken, ok, err := n.tryTake(ctx)
		if ok || err != nil {
			return taken, err
		}
	}
}

// tryTake leases under a command id of its own: two processes that lease at the same moment must not both learn that the
// other's block is theirs.
func (n *Numbers) tryTake(ctx context.Context) (taken events.LeaseTaken, ok bool, err error) {
	var random es.UUID
	if _, err := rand.Read(random[:]); err != nil {
		return taken, false, err
	}
	receipt, err := es.Handle(ctx, n.handler, Take{n.of}, es.Call{
		ID: es.DerivedID(random, "lease"), Actor: es.Actor{ID: "daybook", Kind: "service"},
	})
	if err != nil {
		return taken, false, err
	}
	for _, r := range receipt.Records {
		e, err := n.handler.Catalog().Open(r)
		if err != nil {
			return taken, false, err
		}
		if taken, ok = e.Event.(events.LeaseTaken); ok {
			return taken, true, nil
		}
	}
	return taken, false, nil
}
