package projection

import (
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

type batch[Row any] struct {
	folds     map[string]Fold[Row]
	columns   []plan.Column
	shared    bool
	partition int
	rows      map[plan.Key]*Row
	made      map[plan.Key]bool // of a table whose rows are made once; nil of others
}

func (b *batch[Row]) Touch(r es.Recorded) (keys []plan.Key, err error) {
	f, ok := b.folds[r.Event.EventType()]
	if !ok || r.Stream.Category == "" {
		return nil, nil
	}
	defer recovered(&err, "rows of", r)
	keys = keysOf(r, b.shared, b.partition, f.suffixes(r))
	for _, k := range keys {
		if b.rows[k] == nil {
			b.rows[k] = new(Row)
		}
	}
	return keys, nil
}

func (b *batch[Row]) Fields(k plan.Key) []any { return fieldsOf(b.columns, b.rows[k]) }

func fieldsOf(columns []plan.Column, row any) []any {
	fields := make([]any, len(columns))
	for i, c := range columns {
		fields[i] = c.Of(row)
	}
	return fields
}

func (b *batch[Row]) Apply(k plan.Key, r es.Recorded) (err error) {
	defer recovered(&err, "row "+k.String(), r)
	if b.made[k] {
		return fmt.Errorf("row %s is made once, and an event before %s@%d made it", k, r.Stream, r.Revision)
	}
	if b.made != nil {
		b.made[k] = true
	}
	b.folds[r.Event.EventType()].apply(b.rows[k], k.Suffix, r)
	return nil
}

func (b *batch[Row]) Row(k plan.Key) any {
	if row := b.rows[k]; row != nil {
		return row
	}
	return nil
}

// recovered turns a panic into an error that names the event it came from.
func recovered(err *error, what string, r es.Recorded) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s, %s of %s@%d, position %d: panic: %v", what, r.Event.EventType(), r.Stream, r.Revision, r.Position, p)
	}
}
