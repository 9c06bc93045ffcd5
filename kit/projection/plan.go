package projection

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"github.com/daybook-dev/daybook/kit/es"
)

// Projection is any Table, for lists of them.
type Projection interface{ compile() (Plan, error) }

// Plan is a checked Table with its row type erased: what a worker runs.
type Plan struct {
	Name    string
	Version int
	Stream  string
	Schema  string
	History bool
	Shared  bool
	Types   []string // event types it reads; others are not even decoded
	Columns []Column // of Row, in the order of its fields
	// Begin starts a batch of one partition.
	Begin func(partition int) Batch
	// Blank points to the columns of a new row, in the order of Columns.
	Blank func() []any
}

// Column is one field of a Row.
type Column struct {
	Name string // its db tag
	Type reflect.Type
	at   []int
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

// Compile checks projections, and reports all that is wrong with them at once. Two of one name and version are an error;
// two versions of one name are how an old one goes on being fed.
func Compile(ps ...Projection) (plans []Plan, err error) {
	type id struct {
		name    string
		version int
	}
	seen := map[id]bool{}
	for _, p := range ps {
		plan, e := p.compile()
		if k := (id{plan.Name, plan.Version}); e == nil && seen[k] {
			e = fmt.Errorf("projection %s version %d is given twice", k.name, k.version)
		} else {
			seen[k] = true
		}
		plans, err = append(plans, plan), errors.Join(err, e)
	}
	return plans, err
}

var tableName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

func (t Table[Row]) compile() (Plan, error) {
	fail := func(format string, args ...any) (Plan, error) {
		return Plan{}, fmt.Errorf("projection %q: %s", t.Name, fmt.Sprintf(format, args...))
	}
	folds := map[string]Fold[Row]{}
	for _, f := range t.On {
		if _, twice := folds[f.eventType]; twice {
			return fail("%s is folded twice", f.eventType)
		}
		folds[f.eventType] = f
	}
	columns, err := columnsOf(reflect.TypeFor[Row](), nil)
	switch {
	case !tableName.MatchString(t.Name):
		return fail("a name is lower case letters, digits and _")
	case t.Version < 1 || len(folds) == 0 || t.Schema == "":
		return fail("it needs a version, a schema and folds")
	case t.History && t.Shared:
		return fail("totals have no history: keep dated rows and sum them")
	case err != nil:
		return fail("%v", err)
	}
	for _, c := range columns {
		if slices.Contains(EngineColumns(), c.Name) {
			return fail("column %s is the engine's", c.Name)
		}
	}
	return Plan{
		Name: t.Name, Version: t.Version, Stream: t.Stream, Schema: t.Schema, History: t.History, Shared: t.Shared,
		Types: slices.Sorted(maps.Keys(folds)), Columns: columns,
		Begin: func(partition int) Batch {
			return &batch[Row]{folds: folds, columns: columns, shared: t.Shared, partition: partition, rows: map[Key]*Row{}}
		},
		Blank: func() []any { return fieldsOf(columns, new(Row)) },
	}, nil
}

// EngineColumns are those that every table has beside its Row's: the primary key and the Stamp.
func EngineColumns() []string {
	return []string{"key", "suffix", "version", "revision", "position", "valid_from", "recorded_from"}
}

// columnsOf lists the db tags of a struct and of the structs embedded in it. Every exported field has one; "-" leaves it out.
func columnsOf(t reflect.Type, at []int) (columns []Column, err error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("a row is a struct, not %s", t)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		path := append(slices.Clone(at), i)
		tag, tagged := f.Tag.Lookup("db")
		switch {
		case tag == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && !tagged:
			inner, err := columnsOf(f.Type, path)
			if err != nil {
				return nil, err
			}
			columns = append(columns, inner...)
		case tag == "":
			return nil, fmt.Errorf("field %s.%s has no db tag", t, f.Name)
		case slices.ContainsFunc(columns, func(c Column) bool { return c.Name == tag }):
			return nil, fmt.Errorf("%s has two columns %s", t, tag)
		default:
			columns = append(columns, Column{tag, f.Type, path})
		}
	}
	return columns, nil
}
