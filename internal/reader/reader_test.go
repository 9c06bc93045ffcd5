package reader

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

func view2(checkpoints ...[]int64) *snapshot {
	s := &snapshot{view: &view{reader: &Reader{cfg: Config{Partitions: len(checkpoints[0])}}}, live: map[string]live{}}
	for i, c := range checkpoints {
		s.live[string(rune('a'+i))] = live{position: c, recorded: make([]*time.Time, len(c))}
	}
	return s
}

func TestReached(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		checkpoints [][]int64
		relay       topic.State
		want        uint64
	}{
		"the lowest partition":                      {[][]int64{{5, 9}}, topic.State{}, 5},
		"a quiet partition is where the relay is":   {[][]int64{{5, 9}}, topic.State{Position: 9, Last: []uint64{5, 9}}, 9},
		"one that has events to come is not":        {[][]int64{{5, 9}}, topic.State{Position: 9, Last: []uint64{7, 9}}, 5},
		"one that never had an event":               {[][]int64{{0, 9}}, topic.State{Position: 9, Last: []uint64{0, 9}}, 9},
		"rows ahead of the relay's row":             {[][]int64{{12, 9}}, topic.State{Position: 8, Last: []uint64{5, 8}}, 9},
		"of two projections the one that is behind": {[][]int64{{9, 9}, {9, 4}}, topic.State{Position: 9, Last: []uint64{8, 9}}, 4},
	} {
		if got := func() uint64 { s := view2(c.checkpoints...); s.relay = c.relay; return s.reached("") }(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestGoalOfKnowledge(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Date(2011, 1, 1, 0, 0, s, 0, time.UTC) }
	g := goal{knownAt: new(at(10))}
	if err := g.check(100, topic.State{Position: 50, CaughtUpAt: at(10)}); !errors.Is(err, query.ErrNotYet) {
		t.Errorf("something recorded in that very moment may still come: %v", err)
	}
	if err := g.check(40, topic.State{Position: 50, CaughtUpAt: at(11)}); !errors.Is(err, query.ErrNotYet) || g.position != 50 {
		t.Errorf("the rows are behind where the relay was: %v, goal %d", err, g.position)
	}
	// The relay goes on; what it had to know then stays the goal, or a busy shop would never answer.
	if err := g.check(50, topic.State{Position: 90, CaughtUpAt: at(30)}); err != nil {
		t.Error(err)
	}
}

func TestSelectionAddsEachTimeOnce(t *testing.T) {
	t.Parallel()
	m := moment{Moment: query.Moment{AsOf: new(time.Unix(1, 0)), KnownAt: new(time.Unix(2, 0))}, args: make([]any, 2, 9)}
	p := plan.Plan{Name: "n", History: true, Columns: []plan.Column{{Name: "n", Type: reflect.TypeFor[int]()}}}
	first, second := m.rows("h", p), m.rows("i", p)
	if len(m.args) != 4 || first != strings.Replace(second, `from "i"`, `from "h"`, 1) || !strings.Contains(first, "valid_to > $3") || !strings.Contains(first, "recorded_from <= $4") {
		t.Errorf("%d arguments\n%s\n%s", len(m.args), first, second)
	}
}

func TestTablesComeBeforeTheQuerysOwnExpressions(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		`select 1 from "p"`:                        `with P select 1 from "p"`,
		"\n\twith a as (select 1) select 2":        "\n\twith P,  a as (select 1) select 2",
		"-- with\nWITH RECURSIVE a as (select 1)":  "-- with\nWITH RECURSIVE P,  a as (select 1)",
		"/* with */ with a as (select 1)":          "/* with */ with P,  a as (select 1)",
		`(select 1 from "p") union all (select 2)`: `with P (select 1 from "p") union all (select 2)`,
		`withdrawn`: `with P withdrawn`,
	} {
		if got := preceded(sql, []string{"P"}); got != want {
			t.Errorf("%q became %q, want %q", sql, got, want)
		}
	}
}
