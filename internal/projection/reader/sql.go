package reader

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/projection"
)

var named = regexp.MustCompile(`\{[a-z][a-z0-9_]*\}`)

// Query implements projection.Snapshot.
func (s *snapshot) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	var unknown error
	times := moment{s.moment, args, 0, 0}
	sql = named.ReplaceAllStringFunc(sql, func(braced string) string {
		name := strings.Trim(braced, "{}")
		l, ok := s.live[name]
		if !ok {
			unknown = errors.Join(unknown, fmt.Errorf("%s names a projection that this view does not have", braced))
			return braced
		}
		table := pgx.Identifier{l.schema, name}.Sanitize()
		if !s.moment.Past() {
			return table
		}
		history := pgx.Identifier{l.schema, name + "_history"}.Sanitize()
		return "(" + times.selection(history, s.view.plans[name]) + ") as " + pgx.Identifier{name}.Sanitize()
	})
	if unknown != nil {
		return nil, unknown
	}
	return s.conn.Query(ctx, sql, times.args...)
}

// moment adds its times to the query's arguments, each once.
type moment struct {
	projection.Moment

	args          []any
	asOf, knownAt int // numbers of the arguments, 0: none yet
}

func (m *moment) argument(at *int, value any) string {
	if *at == 0 {
		m.args = append(slices.Clip(m.args), value)
		*at = len(m.args)
	}
	return fmt.Sprintf("$%d", *at)
}

// selection gives the versions that were true at the moment, of all rows: one of each at most.
func (m *moment) selection(history string, plan projection.Plan) string {
	columns := projection.EngineColumns()
	for _, c := range plan.Columns {
		columns = append(columns, c.Name)
	}
	for i, c := range columns {
		columns[i] = pgx.Identifier{c}.Sanitize()
	}
	list := strings.Join(columns, ", ")
	if m.Revision != nil {
		return fmt.Sprintf(`select distinct on (key, suffix) %s from %s where revision = %s::bigint order by key, suffix, version`,
			list, history, m.argument(&m.asOf, int64(*m.Revision))) //nolint:gosec // revisions stay below 2^63
	}
	var begun, over []string
	if !m.AsOf.IsZero() {
		t := m.argument(&m.asOf, m.AsOf)
		begun, over = append(begun, "valid_from <= "+t+"::timestamptz"), append(over, "valid_to > "+t+"::timestamptz")
	}
	if !m.KnownAt.IsZero() {
		k := m.argument(&m.knownAt, m.KnownAt)
		begun, over = append(begun, "recorded_from <= "+k+"::timestamptz"), append(over, "recorded_to > "+k+"::timestamptz")
	}
	return fmt.Sprintf(`select %s from %s where %s and (%s)`, list, history, strings.Join(begun, " and "), strings.Join(over, " or "))
}
