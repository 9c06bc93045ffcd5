package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// shape is what Postgres knows of one table: enough to send its rows as an array of its row type, in binary.
type shape struct {
	name    string // schema-qualified and quoted
	row     uint32 // oid of its row type
	array   uint32 // and of that one's array
	columns []column
}

type column struct {
	name string
	typ  uint32
}

// splitSchema cuts after the first statement, which creates the table.
func splitSchema(schema string) (table, indexes string) {
	at := 0
	for line := range strings.Lines(schema) {
		at += len(line)
		code, _, _ := strings.Cut(line, "--")
		if strings.HasSuffix(strings.TrimSpace(code), ";") {
			return schema[:at], schema[at:]
		}
	}
	return schema, ""
}

func loadShape(ctx context.Context, tx pgx.Tx, schema, table string) (*shape, error) {
	s := &shape{name: pgx.Identifier{schema, table}.Sanitize()}
	err := tx.QueryRow(ctx, `select t.oid, t.typarray from pg_class c join pg_type t on t.oid = c.reltype where c.oid = to_regclass($1)`, s.name).
		Scan(&s.row, &s.array)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, &ConfigError{fmt.Errorf("there is no table %s", s.name)}
	}
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `select attname, atttypid from pg_attribute
		where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum`, s.name)
	if err != nil {
		return nil, err
	}
	s.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c column, err error) {
		return c, row.Scan(&c.name, &c.typ)
	})
	return s, err
}

// names lists the columns for SQL.
func (s *shape) names() []string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = pgx.Identifier{c.name}.Sanitize()
	}
	return names
}

// fits compares the table with the engine's columns and the row's fields, and checks that each field can be kept in its column.
func (s *shape) fits(types *pgtype.Map, p plan.Plan) error {
	var problems []error
	want := plan.EngineColumns()
	fields := p.Blank()
	for i, c := range p.Columns {
		want = append(want, c.Name)
		at := slices.IndexFunc(s.columns, func(have column) bool { return have.name == c.Name })
		if at < 0 {
			problems = append(problems, fmt.Errorf("the table has no column %s", c.Name))
			continue
		}
		typ := s.columns[at].typ
		if types.PlanEncode(typ, pgtype.BinaryFormatCode, deref(fields[i])) == nil || types.PlanScan(typ, pgtype.BinaryFormatCode, fields[i]) == nil {
			problems = append(problems, fmt.Errorf("column %s cannot keep a %s", c.Name, c.Type))
		}
		if more := len(c.WrittenIn()) - longest; p.HasVersions() && c.Wide() && more > 0 {
			problems = append(problems, fmt.Errorf("the name of column %s is longer than %d bytes", c.Name, len(c.Name)-more))
		}
	}
	for _, c := range s.columns {
		if !slices.Contains(want, c.name) {
			problems = append(problems, fmt.Errorf("column %s is no field of the row", c.name))
		}
	}
	for _, name := range plan.EngineColumns() {
		if !slices.ContainsFunc(s.columns, func(have column) bool { return have.name == name }) {
			problems = append(problems, fmt.Errorf(`the table has no column %s: it begins with "like engine"`, name))
		}
	}
	return errors.Join(problems...)
}

const longest = 63 // bytes of a name in Postgres

// A row of a composite type in binary is the number of its columns, and for each its type, its length (-1: null) and
// its bytes (record_send in Postgres' rowtypes.c); an array of them has a header of five numbers (array_send).

func appendInt32(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(n)) //nolint:gosec // lengths are far below 2^31
}

func appendText(b []byte, s string) []byte {
	b = appendInt32(binary.BigEndian.AppendUint32(b, pgtype.TextOID), len(s))
	return append(b, s...)
}

func appendInt4(b []byte, n int32) []byte {
	b = appendInt32(binary.BigEndian.AppendUint32(b, pgtype.Int4OID), 4)
	return binary.BigEndian.AppendUint32(b, uint32(n)) //nolint:gosec // two's complement
}

func appendNull(b []byte, typ uint32) []byte {
	return append(binary.BigEndian.AppendUint32(b, typ), 0xff, 0xff, 0xff, 0xff)
}

func appendInt8(b []byte, n int64) []byte {
	b = appendInt32(binary.BigEndian.AppendUint32(b, pgtype.Int8OID), 8)
	return binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // two's complement
}

const (
	infinity = 1<<63 - 1
	epoch    = 946684800 * 1000000 // 2000-01-01 in microseconds
)

func appendMicros(b []byte, micros int64) []byte {
	b = appendInt32(binary.BigEndian.AppendUint32(b, pgtype.TimestamptzOID), 8)
	return binary.BigEndian.AppendUint64(b, uint64(micros)) //nolint:gosec // two's complement
}

func appendTime(b []byte, t time.Time) []byte { return appendMicros(b, t.UnixMicro()-epoch) }

// appendArray encodes a one-dimensional array of rows, each given without the number of its columns.
func (s *shape) appendArray(b []byte, rows [][]byte) []byte {
	b = appendInt32(b, 1) // dimensions
	b = appendInt32(b, 0) // no nulls
	b = binary.BigEndian.AppendUint32(b, s.row)
	b = appendInt32(b, len(rows))
	b = appendInt32(b, 1) // lower bound
	for _, row := range rows {
		b = appendInt32(b, 4+len(row))
		b = appendInt32(b, len(s.columns))
		b = append(b, row...)
	}
	return b
}
