package worker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/internal/groupcommit"
)

const (
	turnsAtOnce  = 2
	turnsBeside  = 50 * time.Millisecond // waited for before a second transaction is begun
	turnsRecords = 2000                  // in one transaction, unless one share alone has more
)

// inTurns lets batches of several partitions share transactions: one is under way at a time, and the next takes along all that wait. Where
// one takes long, as behind a lock, those who wait go beside it.
func inTurns(write func(context.Context, []*share) error) *groupcommit.Group[*share] {
	return groupcommit.New(groupcommit.Config[*share]{
		Write: func(ctx context.Context, shares []*share) error {
			slices.SortFunc(shares, func(a, b *share) int { return cmp.Compare(a.partition, b.partition) })
			return write(ctx, shares)
		},
		Size: func(s *share) int { return len(s.records) }, Most: turnsRecords, Lanes: turnsAtOnce, Patience: turnsBeside,
	})
}
