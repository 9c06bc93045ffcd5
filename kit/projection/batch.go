package projection

import (
	"fmt"
	"reflect"

	"github.com/daybook-dev/daybook/kit/es"
)

type batch[Row any] struct {
	folds     map[string]Fold[Row]
	columns   []Column
	shared    bool
	partition int
	rows      map[Key]*Row
}

func (b *batch[Row]) Touch(r es.Recorded) (keys []Key, err error) {
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

func (b *batch[Row]) Fields(k Key) []any { return fieldsOf(b.columns, b.rows[k]) }

func fieldsOf(columns []Column, row any) []any {
	v := reflect.ValueOf(row).Elem()
	fields := make([]any, len(columns))
	for i, c := range columns {
		fields[i] = v.FieldByIndex(c.at).Addr().Interface()
	}
	return fields
}

func (b *batch[Row]) Apply(k Key, r es.Recorded) (err error) {
	defer recovered(&err, "row "+k.String(), r)
	b.folds[r.Event.EventType()].apply(b.rows[k], k.Suffix, r)
	return nil
}

func (b *batch[Row]) Row(k Key) any {
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
