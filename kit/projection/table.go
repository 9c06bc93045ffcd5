package projection

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// Table is a read model of one table, and how events become its rows. Raise Version whenever Row, Schema or a fold
// changes: the next start builds the new version beside the old one.
type Table[Row any] struct {
	// Name of the table: [a-z][a-z0-9_]*, at most 40 characters.
	Name    string
	Version int // from 1
	// Stream is the category of the streams that the rows are about: "order". A row's column revision is that
	// stream's revision when the row was last changed by one of its events.
	Stream string
	// Schema is SQL. Its first statement creates the table, with "like engine" and a column for each field of Row;
	// what follows are indexes, also on <Name>_history.
	Schema string
	// History keeps every version of each row: queries of a past moment, and by revision.
	History bool
	// Shared rows are touched by events of many keys: each partition has its own, and queries sum them.
	Shared bool
	// Once says that each row is made by one event and never changed by another, as in a list of what happened: such a row is not looked
	// up before it is written, and is its own history. A second event for it is an error.
	Once bool
	On   []Fold[Row]
}

// Projection is any Table, for lists of them.
type Projection interface{ Plan() (plan.Plan, error) }

var tableName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Plan checks the table and gives what the engines run of it.
func (t Table[Row]) Plan() (plan.Plan, error) {
	fail := func(format string, args ...any) (plan.Plan, error) {
		return plan.Plan{}, fmt.Errorf("projection %q: %s", t.Name, fmt.Sprintf(format, args...))
	}
	folds := map[string]Fold[Row]{}
	for _, f := range t.On {
		if _, twice := folds[f.eventType]; twice {
			return fail("%s is folded twice", f.eventType)
		}
		folds[f.eventType] = f
	}
	columns, err := plan.Columns(reflect.TypeFor[Row]())
	switch {
	case !tableName.MatchString(t.Name):
		return fail("a name is lower case letters, digits and _")
	case t.Version < 1 || len(folds) == 0 || t.Schema == "":
		return fail("it needs a version, a schema and folds")
	case t.History && t.Shared:
		return fail("totals have no history: keep dated rows and sum them")
	case t.Once && t.Shared:
		return fail("totals change: their rows are not made once")
	case err != nil:
		return fail("%v", err)
	}
	for _, c := range columns {
		if slices.Contains(plan.EngineColumns(), c.Name) {
			return fail("column %s is the engine's", c.Name)
		}
	}
	return plan.Plan{
		Name: t.Name, Version: t.Version, Stream: t.Stream, Schema: t.Schema, History: t.History, Shared: t.Shared, Once: t.Once,
		Types: slices.Sorted(maps.Keys(folds)), Columns: columns,
		Begin: func(partition int) plan.Batch {
			b := &batch[Row]{folds: folds, columns: columns, shared: t.Shared, partition: partition, rows: map[plan.Key]*Row{}}
			if t.Once {
				b.made = map[plan.Key]bool{}
			}
			return b
		},
		Blank: func() []any { return fieldsOf(columns, new(Row)) },
	}, nil
}

// Fold is how one type of event changes the rows it touches.
type Fold[Row any] struct {
	eventType string
	suffixes  func(es.Recorded) []string
	apply     func(row *Row, suffix string, r es.Recorded)
}

// On changes the one row of the event's key: the order's row for an order's event. A row that is not there yet is
// the zero Row. at is the event's envelope, for times, actors and revisions.
func On[Row any, E es.Event](fold func(r *Row, e E, at es.Recorded)) Fold[Row] {
	return OnKey(func(E, es.Recorded) string { return "" }, fold)
}

// OnKey changes one of several rows under the event's key: the one with this suffix. In a Shared table the suffix is
// the row's whole name.
func OnKey[Row any, E es.Event](suffix func(E, es.Recorded) string, fold func(*Row, E, es.Recorded)) Fold[Row] {
	return OnKeys(
		func(e E, at es.Recorded) []string { return []string{suffix(e, at)} },
		func(r *Row, _ string, e E, at es.Recorded) { fold(r, e, at) })
}

// OnKeys changes any number of rows under the event's key, each once, however often its suffix is named.
func OnKeys[Row any, E es.Event](suffixes func(E, es.Recorded) []string, fold func(r *Row, suffix string, e E, at es.Recorded)) Fold[Row] {
	var zero E
	return Fold[Row]{
		eventType: zero.EventType(),
		suffixes:  func(r es.Recorded) []string { return suffixes(event[E](r), r) },
		apply:     func(row *Row, suffix string, r es.Recorded) { fold(row, suffix, event[E](r), r) },
	}
}

// event is r's, of the type that its wire name stands for. A panic is the batch's error.
func event[E es.Event](r es.Recorded) E {
	e, ok := r.Event.(E)
	if !ok {
		panic(fmt.Sprintf("the catalog has %T for %s", r.Event, r.Event.EventType()))
	}
	return e
}

// keysOf is where an event's rows stand.
func keysOf(r es.Recorded, shared bool, partition int, suffixes []string) []plan.Key {
	first := r.Stream.Key
	if shared {
		first = strconv.Itoa(partition)
	}
	keys, seen := make([]plan.Key, 0, len(suffixes)), make(map[string]bool, len(suffixes))
	for _, s := range suffixes {
		if !seen[s] {
			seen[s] = true
			keys = append(keys, plan.Key{Key: first, Suffix: s})
		}
	}
	return keys
}
