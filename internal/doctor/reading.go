package doctor

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// reading compares one table with what a build's rows must be, row by row.
type reading struct {
	build  *build
	table  string
	past   bool // it is the history
	report *doctor.Report
	sums   sums
}

func (t *reading) find(k plan.Key, version int64, problem string, expected, found any) {
	row := fmt.Sprintf("%s %s", t.table, k)
	if version >= 0 {
		row += fmt.Sprintf(" version %d", version)
	}
	t.report.Find(doctor.Finding{Invariant: "I3", Row: row, Problem: problem}.Values(expected, found))
}

func (t *reading) read(ctx context.Context, tx pgx.Tx) error {
	t.sums.types = tx.Conn().TypeMap()
	names := plan.EngineColumns()
	for i := range names {
		names[i] = "h." + pgx.Identifier{names[i]}.Sanitize()
	}
	history := t.build.table("_history")
	for _, c := range t.build.plan.Columns {
		if t.past {
			names = append(names, c.InHistory(history))
		} else {
			names = append(names, "h."+pgx.Identifier{c.Name}.Sanitize())
		}
	}
	one, counted := t.row, "rows"
	if t.past {
		one, counted = t.version, "row versions"
		names = append(names, "h.valid_to", "h.recorded_to")
	} else {
		for _, i := range t.build.wide {
			names = append(names, t.build.plan.Columns[i].Written(history))
		}
	}
	rows, err := tx.Query(ctx, `select `+strings.Join(names, ", ")+` from `+t.table+` h`, pgx.QueryResultFormats{pgx.BinaryFormatCode})
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		t.report.Checked[counted]++
		if err := one(rows.RawValues()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// missing says what was not found, when everything was read.
func (t *reading) missing() {
	for _, p := range t.build.parts {
		for k, row := range p.rows {
			if !p.compared(k) {
				if !t.past {
					t.report.Checked["rows not compared, for what was skipped is not known"]++
				}
				continue
			}
			switch {
			case t.past && row.past < len(row.versions):
				t.find(k, -1, "versions are missing", len(row.versions), row.past)
			case !t.past && row.live == 0:
				t.find(k, row.stamp.Version, "the row is missing", fmt.Sprintf("version %d, last changed at position %d", row.stamp.Version, row.stamp.Position), "none")
			}
		}
	}
}

// stamped reads the engine's columns.
func stamped(raw [][]byte) (k plan.Key, s projection.Stamp, err error) {
	k = plan.Key{Key: string(raw[0]), Suffix: string(raw[1])}
	for _, r := range raw[2:engineColumns] {
		if len(r) != 8 {
			return k, s, fmt.Errorf("row %s: the engine's columns are not numbers and times of 8 bytes", k)
		}
	}
	s.Version, s.Revision, s.Position = int64Of(raw[2]), int64Of(raw[3]), int64Of(raw[4])
	s.ValidFrom, s.RecordedFrom = timeOf(raw[5]), timeOf(raw[6])
	return k, s, nil
}

// int64Of and timeOf read what Postgres sends of a bigint and of a timestamptz: microseconds since 2000.
func int64Of(raw []byte) int64 { return int64(binary.BigEndian.Uint64(raw)) } //nolint:gosec // two's complement

func timeOf(raw []byte) time.Time { return time.UnixMicro(epoch + int64Of(raw)).UTC() }

const (
	engineColumns = 7
	epoch         = 946_684_800_000_000 // 2000-01-01 in microseconds of Unix
)

func (t *reading) row(raw [][]byte) error {
	k, stamp, err := stamped(raw)
	if err != nil {
		return err
	}
	want, part := t.build.row(k)
	if part != nil && !part.compared(k) {
		return nil
	}
	if want == nil {
		t.find(k, stamp.Version, "the row should not be there", "none", fmt.Sprintf("a row last changed at position %d", stamp.Position))
		return nil
	}
	want.live++
	if !t.same(k, want.stamp, stamp) {
		return nil
	}
	fields := part.batch.Fields(k)
	for i, c := range t.build.columns {
		sum, err := t.sums.of(c, deref(fields[i]))
		if err != nil {
			return fmt.Errorf("row %s, column %s: %w", k, c.name, err)
		}
		found, differs := t.differs(i, sum, raw[engineColumns+i])
		if differs {
			t.find(k, stamp.Version, "column "+c.name, show(t.sums.types, c, deref(fields[i])), found)
		}
		w := slices.Index(t.build.wide, i)
		if w < 0 || differs {
			continue
		}
		if found, differs := t.differs(i, sum, raw[engineColumns+len(t.build.columns)+w]); differs { // the next version would name it too
			t.find(k, stamp.Version, "column "+c.name+" in the version that the row names", show(t.sums.types, c, deref(fields[i])), found)
		}
	}
	return nil
}

func (t *reading) version(raw [][]byte) error {
	k, stamp, err := stamped(raw)
	if err != nil {
		return err
	}
	row, part := t.build.row(k)
	if part != nil && !part.compared(k) {
		return nil
	}
	var versions []version
	if row != nil {
		versions = row.versions
	}
	if stamp.Version < 0 || stamp.Version >= int64(len(versions)) {
		t.find(k, stamp.Version, "the version should not be there", fmt.Sprintf("%d versions", len(versions)), stamp.Version)
		return nil
	}
	row.past++
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
		expected, until := "infinity", int64(math.MaxInt64)
		if next := stamp.Version + 1; next < int64(len(versions)) {
			s := versions[next].stamp
			at := []time.Time{s.ValidFrom, s.RecordedFrom}[i]
			expected, until = at.Format(time.RFC3339Nano), at.UnixMicro()-epoch
		}
		end := raw[engineColumns+len(t.build.columns)+i]
		if len(end) == 8 && int64Of(end) == until {
			continue
		}
		var have pgtype.Timestamptz
		if err := t.sums.types.Scan(pgtype.TimestamptzOID, pgtype.BinaryFormatCode, end, &have); err != nil {
			return fmt.Errorf("row %s: %w", k, err)
		}
		t.find(k, stamp.Version, "column "+name, expected, have.Time.UTC().Format(time.RFC3339Nano)+" "+have.InfinityModifier.String())
	}
	return nil
}

// same compares stamps; if they differ, the rest of the row does as well.
func (t *reading) same(k plan.Key, want, have projection.Stamp) bool {
	show := func(s projection.Stamp) string {
		return fmt.Sprintf("version %d, revision %d, position %d, valid from %s, recorded %s", s.Version, s.Revision, s.Position,
			s.ValidFrom.UTC().Format(time.RFC3339Nano), s.RecordedFrom.UTC().Format(time.RFC3339Nano))
	}
	if want.Version == have.Version && want.Revision == have.Revision && want.Position == have.Position &&
		want.ValidFrom.Equal(have.ValidFrom) && want.RecordedFrom.Equal(have.RecordedFrom) {
		return true
	}
	t.find(k, have.Version, "its place in the log", show(want), show(have))
	return false
}

// differs compares a column's bytes with a sum. What is encoded otherwise and means the same is no difference.
func (t *reading) differs(i int, want uint64, raw []byte) (found string, differs bool) {
	c := t.build.columns[i]
	if sumRaw(c.oid, raw) == want {
		return "", false
	}
	switch {
	case raw == nil:
		return "null", true
	case c.oid == pgtype.JSONBOID:
		return string(canonical(c.oid, raw)), true
	}
	blank := t.build.plan.Blank()[i]
	if err := t.sums.types.Scan(c.oid, pgtype.BinaryFormatCode, raw, blank); err != nil {
		return fmt.Sprintf("unreadable: %v", err), true
	}
	if sum, err := t.sums.of(c, deref(blank)); err == nil && sum == want {
		return "", false
	}
	return show(t.sums.types, c, deref(blank)), true
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
