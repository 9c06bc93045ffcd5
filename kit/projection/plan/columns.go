package plan

import (
	"database/sql/driver"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Column is one field of a row.
type Column struct {
	Name string // its db tag
	Type reflect.Type
	at   []int
}

// EngineColumns are those that every table has beside its Row's: the primary key and the Stamp.
func EngineColumns() []string {
	return []string{"key", "suffix", "version", "revision", "position", "valid_from", "recorded_from"}
}

// Columns lists the db tags of a struct and of the structs embedded in it. Every exported field has one; "-" leaves it out.
func Columns(t reflect.Type) ([]Column, error) { return columns(t, nil) }

func columns(t reflect.Type, at []int) (all []Column, err error) {
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
			inner, err := columns(f.Type, path)
			if err != nil {
				return nil, err
			}
			all = append(all, inner...)
		case tag == "":
			return nil, fmt.Errorf("field %s.%s has no db tag", t, f.Name)
		case slices.ContainsFunc(all, func(c Column) bool { return c.Name == tag }):
			return nil, fmt.Errorf("%s has two columns %s", t, tag)
		default:
			all = append(all, Column{tag, f.Type, path})
		}
	}
	return all, nil
}

// Wide tells whether the column holds a value of any length in parts: jsonb, an array or bytes. The history keeps such a value in the
// version that wrote it, and the versions after it name that one. It follows from the Go type, so that all engines agree. A type that has
// a text or a database value of its own, as time.Time and UUIDs, is one value and not wide.
func (c Column) Wide() bool {
	t := c.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Array, reflect.Map, reflect.Interface:
		p := reflect.PointerTo(t)
		return !p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) && !p.Implements(reflect.TypeFor[driver.Valuer]())
	default:
		return false
	}
}

// WrittenIn is the engine's column beside a wide one of a table with history: the version that wrote it last.
func (c Column) WrittenIn() string { return c.Name + ".version" }

// InHistory is the column's value as SQL, where h is a row of the history.
func (c Column) InHistory(history string) string {
	name := quoted(c.Name)
	if !c.Wide() {
		return "h." + name
	}
	return fmt.Sprintf(`case when h.%s = h.version then h.%s else %s end as %s`, quoted(c.WrittenIn()), name, c.Written(history), name)
}

// Written is a wide column's value in the version that wrote it last, as SQL, where h is a row of the table or of the history: one look-up
// of the primary key, however many versions there are.
func (c Column) Written(history string) string {
	return fmt.Sprintf(`(select w.%s from %s w where w.key = h.key and w.suffix = h.suffix and w.version = h.%s)`,
		quoted(c.Name), history, quoted(c.WrittenIn()))
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Of points to the column's field in a row, which is given as a pointer.
func (c Column) Of(row any) any {
	return reflect.ValueOf(row).Elem().FieldByIndex(c.at).Addr().Interface()
}
