// Package plan is what the engines run of a read model: a checked projection.Table with its row type erased. Those who write
// tables need nothing of it; they test with package projectiontest.
package plan

import (
	"errors"
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
)

// Plan is a checked table: what a worker runs.
type Plan struct {
	Name    string
	Version int
	Stream  string
	Schema  string
	History bool
	Shared  bool
	Once    bool
	Types   []string // event types it reads; others are not even decoded
	Columns []Column // of Row, in the order of its fields
	// Begin starts a batch of one partition.
	Begin func(partition int) Batch
	// Blank points to the columns of a new row, in the order of Columns.
	Blank func() []any
}

// HasVersions tells whether the table has another beside it with every version of its rows.
func (p Plan) HasVersions() bool { return p.History && !p.Once }

// WideInHistory are the columns that a version keeps only if it changed them, by their place in Columns.
func (p Plan) WideInHistory() (wide []int) {
	for i, c := range p.Columns {
		if p.HasVersions() && c.Wide() {
			wide = append(wide, i)
		}
	}
	return wide
}

// Batch is some events of one partition on their way into rows: touch all, load the touched rows into Fields, apply
// the events in order. Not for concurrent use; after an error it is of no more use.
type Batch interface {
	// Touch says which rows an event changes, each once, and makes room for them. An event of a stream that is not
	// <category>-<key> has no key, and touches none.
	Touch(e es.Recorded) ([]Key, error)
	// Fields points to a touched row's columns, in the order of Plan.Columns: scan a loaded row into them, or read
	// them after Apply.
	Fields(k Key) []any
	// Apply folds an event into one touched row. A panic of the fold is its error.
	Apply(k Key, e es.Recorded) error
	// Row is *Row as it is now, nil if it was not touched.
	Row(k Key) any
}

// Key is a row's primary key. The engine makes its first part, so that no fold can reach a row of another partition.
type Key struct {
	Key    string // the event's key; in a Shared table the number of the partition
	Suffix string
}

func (k Key) String() string {
	if k.Suffix == "" {
		return k.Key
	}
	return k.Key + "/" + k.Suffix
}

// Compile checks projections, and reports all that is wrong with them at once. Two of one name and version are an error;
// two versions of one name are how an old one goes on being fed.
func Compile[P interface{ Plan() (Plan, error) }](ps ...P) (plans []Plan, err error) {
	type id struct {
		name    string
		version int
	}
	seen := map[id]bool{}
	for _, p := range ps {
		plan, e := p.Plan()
		if k := (id{plan.Name, plan.Version}); e == nil && seen[k] {
			e = fmt.Errorf("projection %s version %d is given twice", k.name, k.version)
		} else {
			seen[k] = true
		}
		plans, err = append(plans, plan), errors.Join(err, e)
	}
	return plans, err
}
