package relay_test

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/relay"
)

func TestMoves(t *testing.T) {
	t.Parallel()
	third := func(partition int) bool { return partition == 3 }
	for payload, want := range map[string]bool{
		"": true, relay.RowsMoved([]int{3}): true, relay.RowsMoved([]int{0, 3, 11}): true, "of a later version": true,
		relay.RowsMoved([]int{0, 11}): false, relay.RowsMoved([]int{33}): false, relay.CheckpointMoved: false,
	} {
		if got := relay.Moves(payload, third); got != want {
			t.Errorf("%q: %t", payload, got)
		}
	}
}
