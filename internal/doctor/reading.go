package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-dev/daybook/internal/projection"
)

// reading compares one table with what a build's rows must be, row by row.
type reading struct {
	build  *build
	table  string
	report *Report
	types  *pgtype.Map
	seen   map[projection.Key]int
	count  int
}

func (t *reading) find(k projection.Key, version int64, problem string, expected, found any) {
	row := fmt.Sprintf("%s %s", t.table, k)
	if version >= 0 {
		row += fmt.Sprintf(" version %d", version)
	}
	t.report.find(Finding{Invariant: "I3", Row: row, Problem: problem}.values(expected, found))
}

func (t *reading) read(ctx context.Context, tx pgx.Tx, past bool) error {
	names := projection.EngineColumns()
	for _, c := range t.build.columns {
		names = append(names, c.name)
	}
	if past {
		names = append(names, "valid_to", "recorded_to")
	}
	for i := range names {
		names[i] = pgx.Identifier{names[i]}.Sanitize()
	}
	rows, err := tx.Query(ctx, `select `+strings.Join(names, ", ")+` from `+t.table, pgx.QueryResultFormats{pgx.BinaryFormatCode})
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		t.count++
		raw := rows.RawValues()
		if past {
			err = t.version(raw)
		} else {
			err = t.row(raw)
		}
		if err != nil {
			return err
		}
	}
	return rows.Err()
}

// stamped reads the engine's columns.
func (t *reading) stamped(raw [][]byte) (k projection.Key, s projection.Stamp, err error) {
	k = projection.Key{Key: string(raw[0]), Suffix: string(raw[1])}
	for i, to := range []*int64{&s.Version, &s.Revision, &s.Position} {
		if err := t.types.Scan(pgtype.Int8OID, pgtype.BinaryFormatCode, raw[2+i], to); err != nil {
			return k, s, fmt.Errorf("row %s: %w", k, err)
		}
	}
	for i, to := range []*time.Time{&s.ValidFrom, &s.RecordedFrom} {
		if err := t.types.Scan(pgtype.TimestamptzOID, pgtype.BinaryFormatCode, raw[5+i], to); err != nil {
			return k, s, fmt.Errorf("row %s: %w", k, err)
		}
	}
	return k, s, nil
}

const engineColumns = 7

func (t *reading) row(raw [][]byte) error {
	k, stamp, err := t.stamped(raw)
	if err != nil {
		return err
	}
	t.seen[k]++
	want, ok := t.build.rows[k]
	if !ok {
		t.find(k, stamp.Version, "the row should not be there", "none", fmt.Sprintf("a row last changed at position %d", stamp.Position))
		return nil
	}
	if !t.same(k, want, stamp) {
		return nil
	}
	fields := t.build.batches[t.build.partition(k)].Fields(k)
	for i, c := range t.build.columns {
		sum, err := t.build.sumOf(t.types, c, deref(fields[i]))
		if err != nil {
			return err
		}
		if found, differs := t.differs(i, sum, raw[engineColumns+i]); differs {
			t.find(k, stamp.Version, "column "+c.name, show(t.types, c, deref(fields[i])), found)
		}
	}
	return nil
}

func (t *reading) version(raw [][]byte) error {
	k, stamp, err := t.stamped(raw)
	if err != nil {
		return err
	}
	versions := t.build.versions[k]
	if stamp.Version < 0 || stamp.Version >= int64(len(versions)) {
		t.find(k, stamp.Version, "the version should not be there", fmt.Sprintf("%d versions", len(versions)), stamp.Version)
		return nil
	}
	t.seen[k]++
	want := versions[stamp.Version]
	if !t.same(k, want.stamp, stamp) {
		return nil
	}
	for i, c := range t.build.columns {
		if found, differs := t.differs(i, want.sums[i], raw[engineColumns+i]); differs {
			t.find(k, stamp.Version, "column "+c.name, fmt.Sprintf("as the event at position %d left it", want.stamp.Position), found)
		}
	}
	for i, name := range []string{"valid_to", "recorded_to"} {
		var end pgtype.Timestamptz
		if err := t.types.Scan(pgtype.TimestamptzOID, pgtype.BinaryFormatCode, raw[engineColumns+len(t.build.columns)+i], &end); err != nil {
			return fmt.Errorf("row %s: %w", k, err)
		}
		expected := "infinity"
		ok := end.InfinityModifier == pgtype.Infinity
		if next := stamp.Version + 1; next < int64(len(versions)) {
			s := versions[next].stamp
			until := []time.Time{s.ValidFrom, s.RecordedFrom}[i]
			expected = until.Format(time.RFC3339Nano)
			ok = end.InfinityModifier == pgtype.Finite && end.Time.UnixMicro() == until.UnixMicro()
		}
		if !ok {
			t.find(k, stamp.Version, "column "+name, expected, end.Time.UTC().Format(time.RFC3339Nano)+" "+end.InfinityModifier.String())
		}
	}
	return nil
}

// same compares stamps; if they differ, the rest of the row does as well.
func (t *reading) same(k projection.Key, want, have projection.Stamp) bool {
	show := func(s projection.Stamp) string {
		return fmt.Sprintf("version %d, revision %d, position %d, valid from %s, recorded %s", s.Version, s.Revision, s.Position,
			s.ValidFrom.UTC().Format(time.RFC3339Nano), s.RecordedFrom.UTC().Format(time.RFC3339Nano))
	}
	if w, h := show(want), show(have); w != h {
		t.find(k, have.Version, "its place in the log", w, h)
		return false
	}
	return true
}

// differs compares a column's bytes with a sum. What is encoded otherwise and means the same is no difference.
func (t *reading) differs(i int, want uint64, raw []byte) (found string, differs bool) {
	c := t.build.columns[i]
	if t.build.sumRaw(c.oid, raw) == want {
		return "", false
	}
	switch {
	case raw == nil:
		return "null", true
	case c.oid == pgtype.JSONBOID:
		return string(canonical(c.oid, raw)), true
	}
	blank := t.build.plan.Blank()[i]
	if err := t.types.Scan(c.oid, pgtype.BinaryFormatCode, raw, blank); err != nil {
		return fmt.Sprintf("unreadable: %v", err), true
	}
	if sum, err := t.build.sumOf(t.types, c, deref(blank)); err == nil && sum == want {
		return "", false
	}
	return show(t.types, c, deref(blank)), true
}

// sums are those of a row as it now stands.
func (b *build) sums(types *pgtype.Map, k projection.Key) ([]uint64, error) {
	fields := b.batches[b.partition(k)].Fields(k)
	sums := make([]uint64, len(b.columns))
	for i, c := range b.columns {
		var err error
		if sums[i], err = b.sumOf(types, c, deref(fields[i])); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// sumOf encodes a value as Postgres sends it.
func (b *build) sumOf(types *pgtype.Map, c column, value any) (uint64, error) {
	raw, err := types.Encode(c.oid, pgtype.BinaryFormatCode, value, make([]byte, 0, 64))
	if err != nil {
		return 0, fmt.Errorf("%s, column %s: %w", b.plan.Name, c.name, err)
	}
	return b.sumRaw(c.oid, raw), nil
}

const mostJSON = 1 << 17 // sums remembered

// sumRaw is the same for all that means the same. The versions of a row mostly repeat each other's JSON.
func (b *build) sumRaw(oid uint32, raw []byte) uint64 {
	if oid != pgtype.JSONBOID || raw == nil {
		return sumBytes(raw)
	}
	as := sumBytes(raw)
	if sum, known := b.json[as]; known {
		return sum
	}
	if b.json == nil || len(b.json) >= mostJSON {
		b.json = map[uint64]uint64{}
	}
	sum := sumBytes(canonical(oid, raw))
	b.json[as] = sum
	return sum
}

func show(types *pgtype.Map, c column, value any) string {
	raw, err := types.Encode(c.oid, pgtype.BinaryFormatCode, value, make([]byte, 0, 64))
	switch {
	case err != nil:
		return err.Error()
	case raw == nil:
		return "null"
	case c.oid == pgtype.JSONBOID:
		return string(canonical(c.oid, raw))
	}
	return fmt.Sprintf("%v", value)
}

// canonical is the one form of what JSON can be written in many.
func canonical(oid uint32, raw []byte) []byte {
	if oid != pgtype.JSONBOID || len(raw) == 0 {
		return raw
	}
	d := json.NewDecoder(bytes.NewReader(raw[1:])) // the first byte is jsonb's version
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return raw
	}
	b, err := json.Marshal(v)
	if err != nil {
		return raw
	}
	return b
}

func sumBytes(b []byte) uint64 {
	if b == nil {
		return 0
	}
	return maphash.Bytes(seed, b)
}

func deref(pointer any) any { return reflect.ValueOf(pointer).Elem().Interface() }
