package topic_test

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/topic"
)

func TestMoves(t *testing.T) {
	t.Parallel()
	third := func(partition int) bool { return partition == 3 }
	for payload, want := range map[string]bool{
		"": true, topic.RowsMoved([]int{3}): true, topic.RowsMoved([]int{0, 3, 11}): true, "of a later version": true,
		topic.RowsMoved([]int{0, 11}): false, topic.RowsMoved([]int{33}): false, topic.CheckpointMoved: false,
	} {
		if got := topic.Moves(payload, third); got != want {
			t.Errorf("%q: %t", payload, got)
		}
	}
}
