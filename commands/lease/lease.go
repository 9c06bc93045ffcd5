// Package lease hands out numbers for people, a block at a time: no number goes to a second process.
package lease

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

const Exhausted es.Code = "lease_exhausted"

// OrderNumber is the lease that orders take their numbers from: 1000001, 1000002, … in blocks of 1,000.
var OrderNumber = Range{Name: "order-number", First: 1_000_001, Block: 1000}

// Range is a sequence of numbers. Its stream is lease-<Name>.
type Range struct {
	Name  string
	First uint64
	Block uint64
}

// Lease is how far a range has been handed out.
type Lease struct{ To uint64 }

func (*Lease) Category() string { return "lease" }

func (l *Lease) Evolve(e es.Event) {
	switch e := e.(type) {
	case events.LeaseTaken:
		l.To = e.To
	default:
		es.Unknown(e)
	}
}

// Take takes the next block. The expected revision alone keeps two processes from taking the same.
type Take struct{ Range Range }

func (Take) CommandType() string { return "lease.take" }
func (c Take) Key() string       { return c.Range.Name }

func (c Take) Decide(l Lease) ([]es.Event, error) {
	from := max(l.To+1, c.Range.First)
	to := from + max(c.Range.Block, 1) - 1
	if to > events.MaxAmount {
		return es.Reject(Exhausted, "%s has no numbers left", c.Range.Name)
	}
	return es.Facts(events.LeaseTaken{Name: c.Range.Name, From: from, To: to})
}
