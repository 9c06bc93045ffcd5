package topic

import (
	"slices"
	"strconv"
	"strings"
)

// Moved is the channel of NOTIFY on which is said that read models may answer what they could not before. The payload
// tells why, so that few are woken for nothing: RowsMoved, CheckpointMoved, or "" for anything.
const Moved = "daybook_projection"

// CheckpointMoved is said when the relay's own checkpoint has: quiet partitions have reached more, and no row has changed.
const CheckpointMoved = "relay"

// Wanted is the channel of NOTIFY on which the relay is asked to look whether it has caught up: a read of what is known as of now waits for
// that. An idle relay looks rarely by itself.
const Wanted = "daybook_relay"

// RowsMoved says that read models have moved on in these partitions.
func RowsMoved(partitions []int) string {
	all := make([]string, len(partitions))
	for i, p := range partitions {
		all[i] = strconv.Itoa(p)
	}
	return strings.Join(all, ",")
}

// Moves tells whether rows of a partition that concerns accepts may have changed. What it cannot read may mean any.
func Moves(payload string, concerns func(partition int) bool) bool {
	switch payload {
	case "":
		return true
	case CheckpointMoved:
		return false
	}
	return slices.ContainsFunc(strings.Split(payload, ","), func(one string) bool {
		p, err := strconv.Atoi(one)
		return err != nil || concerns(p)
	})
}
