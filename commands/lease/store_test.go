package lease_test

import (
	"context"
	"iter"

	"github.com/daybook-dev/daybook/kit/es"
)

// blockedStore answers nothing before it is released.
type blockedStore struct{ until chan struct{} }

func (s blockedStore) Append(context.Context, es.StreamID, es.Expected, []es.Proposed) (uint64, error) {
	<-s.until
	return 0, es.ErrWrongRevision
}

func (s blockedStore) Read(context.Context, es.StreamID, uint64) iter.Seq2[es.Record, error] {
	return func(yield func(es.Record, error) bool) {
		<-s.until
		yield(es.Record{}, context.Canceled)
	}
}
