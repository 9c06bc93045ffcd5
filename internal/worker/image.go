package worker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// image is the fields of a row, in their order, each as Postgres reads it in a composite value.
type image struct {
	bytes []byte
	ends  []int
}

func (m image) unknown() bool { return m.ends == nil }

func (m image) same(other image) bool { return bytes.Equal(m.bytes, other.bytes) }

func (m image) field(i int) []byte {
	begin := 0
	if i > 0 {
		begin = m.ends[i-1]
	}
	return m.bytes[begin:m.ends[i]]
}

// encode makes the image of a row as it is.
func (f *fold) encode(types *pgtype.Map, key plan.Key) (image, error) {
	fields := f.batch.Fields(key)
	m := image{make([]byte, 0, 64+24*len(fields)), make([]int, len(fields))}
	for i, field := range fields {
		typ := f.build.sql.types[i]
		m.bytes = appendNull(m.bytes, typ)
		at := len(m.bytes)
		with, err := types.Encode(typ, pgtype.BinaryFormatCode, deref(field), m.bytes)
		if err != nil {
			return image{}, fmt.Errorf("column %s: %w", f.build.plan.Columns[i].Name, err)
		}
		if with != nil {
			m.bytes = with
			binary.BigEndian.PutUint32(m.bytes[at-4:], uint32(len(with)-at)) //nolint:gosec // far below 2^31
		}
		m.ends[i] = len(m.bytes)
	}
	return m, nil
}

func deref(pointer any) any { return reflect.ValueOf(pointer).Elem().Interface() }

// body is a version's columns. The history has of the wide ones only those that the version wrote.
func (f *fold) body(key plan.Key, v version, past bool) []byte {
	b := make([]byte, 0, 192+len(v.image.bytes))
	for i, from := range f.build.sql.source {
		switch {
		case from == fromKey:
			b = appendText(b, key.Key)
		case from == fromSuffix:
			b = appendText(b, key.Suffix)
		case from == fromVersion:
			b = appendInt8(b, v.stamp.Version)
		case from == fromRevision:
			b = appendInt8(b, v.stamp.Revision)
		case from == fromPosition:
			b = appendInt8(b, v.stamp.Position)
		case from == fromValid:
			b = appendTime(b, v.stamp.ValidFrom)
		case from == fromRecorded:
			b = appendTime(b, v.stamp.RecordedFrom)
		case from <= fromWritten:
			b = appendInt4(b, v.wrote[fromWritten-from])
		case past && f.build.elsewhere(int(from), v):
			b = appendNull(b, f.build.live.columns[i].typ)
		default:
			b = append(b, v.image.field(int(from))...)
		}
	}
	return b
}

// elsewhere tells whether another version has a field's value.
func (b *build) elsewhere(field int, v version) bool {
	for w, wide := range b.wide {
		if wide == field {
			return int64(v.wrote[w]) != v.stamp.Version
		}
	}
	return false
}
