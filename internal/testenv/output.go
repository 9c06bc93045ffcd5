package testenv

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
)

// Says waits until a process has said all of some words in one line after a moment of its output, and gives when.
func (p *Process) Says(from int, within time.Duration, ok func(line string) bool) (time.Time, bool) {
	until := time.Now().Add(within)
	for {
		out := p.Output()
		for line := range strings.Lines(out[min(from, len(out)):]) {
			if ok(line) {
				return time.Now(), true
			}
		}
		if time.Now().After(until) {
			return time.Now(), false
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// HasAll is when a process had been given every partition of every consumer.
func (p *Process) HasAll(until time.Time) time.Time {
	for time.Now().Before(until) {
		said, all := p.Output(), true
		for _, consumer := range []string{"projections", "sagas", "reactors"} {
			all = all && PartitionsOf(said, consumer) == topic.DefaultPartitions
		}
		if all {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Now()
}

// PartitionsOf is how many partitions a process said last that it was given.
func PartitionsOf(output, consumer string) (n int) {
	for line := range strings.Lines(output) {
		if given := Assigned(line, consumer); given >= 0 {
			n = given
		}
	}
	return n
}

// Assigned is how many partitions a line says that a consumer was given; -1 if it says nothing of the kind.
func Assigned(line, consumer string) int {
	var said struct {
		Msg        string `json:"msg"`
		Consumer   string `json:"consumer"`
		Partitions []int  `json:"partitions"`
	}
	const what = "partitions assigned"
	if !strings.Contains(line, what) || json.Unmarshal([]byte(line), &said) != nil || said.Msg != what || said.Consumer != consumer {
		return -1
	}
	return len(said.Partitions)
}
