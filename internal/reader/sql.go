package reader

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

var (
	named = regexp.MustCompile(`\{[a-z][a-z0-9_]*\}`)
	// with is how a query begins that has common table expressions of its own.
	with = regexp.MustCompile(`(?is)^(?:\s|--[^\n]*\n|/\*.*?\*/)*with\b(?:\s+recursive\b)?`)
)

// Query implements query.Snapshot. Each table that the SQL names is a common table expression in front of it, whatever moment
// is asked for: so aliases, joins, subqueries and expressions of the query's own work alike for all of them. Postgres puts the
// expression where it is used, as if it were written there.
func (s *snapshot) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	var unknown error
	var tables []string
	seen := map[string]bool{}
	times := moment{s.moment, args, 0, 0}
	sql = named.ReplaceAllStringFunc(sql, func(braced string) string {
		name := strings.Trim(braced, "{}")
		l, ok := s.live[name]
		if !ok {
			unknown = errors.Join(unknown, fmt.Errorf("%s names a projection that this view does not have", braced))
			return braced
		}
		if s.moment.Past() && !s.view.plans[name].History {
			unknown = errors.Join(unknown, fmt.Errorf("%s: %w", name, query.ErrNoHistory))
			return braced
		}
		quoted := pgx.Identifier{name}.Sanitize()
		if !seen[name] {
			seen[name] = true
			tables = append(tables, quoted+" as not materialized ("+times.rows(l.schema, s.view.plans[name])+")")
		}
		return quoted
	})
	if unknown != nil {
		return nil, unknown
	}
	return s.conn.Query(ctx, preceded(sql, tables), times.args...)
}

// At implements query.Snapshot.
func (s *snapshot) At(m query.Moment) query.Snapshot {
	m.AsOf, m.KnownAt = micro(m.AsOf), micro(m.KnownAt)
	other := *s
	other.moment = m
	return &other
}

// preceded puts table expressions in front of those that a query has.
func preceded(sql string, tables []string) string {
	if len(tables) == 0 {
		return sql
	}
	list := strings.Join(tables, ", ")
	if begins := with.FindString(sql); begins != "" {
		return begins + " " + list + ", " + sql[len(begins):]
	}
	return "with " + list + " " + sql
}

// moment adds its times to the query's arguments, each once.
type moment struct {
	query.Moment

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

// rows gives the rows of a table as they were at the moment, or are: one version of each at most.
func (m *moment) rows(schema string, p plan.Plan) string {
	if !m.Past() {
		return fmt.Sprintf(`select %s from %s h`, columnsOf(p, ""), pgx.Identifier{schema, p.Name}.Sanitize())
	}
	table, list := versionsOf(schema, p)
	if m.Revision != nil {
		// Wide columns are looked up of the versions that were found, not of those among which they were.
		return fmt.Sprintf(`select %s from (select distinct on (key, suffix) * from %s where revision = %s::bigint order by key, suffix, version) h`,
			list, table, m.argument(&m.asOf, int64(*m.Revision))) //nolint:gosec // revisions stay below 2^63
	}
	var begun, over []string
	if m.AsOf != nil {
		t := m.argument(&m.asOf, *m.AsOf)
		begun, over = append(begun, "h.valid_from <= "+t+"::timestamptz"), append(over, "h.valid_to > "+t+"::timestamptz")
	}
	if m.KnownAt != nil {
		k := m.argument(&m.knownAt, *m.KnownAt)
		begun, over = append(begun, "h.recorded_from <= "+k+"::timestamptz"), append(over, "h.recorded_to > "+k+"::timestamptz")
	}
	sql := fmt.Sprintf(`select %s from %s h where %s`, list, table, strings.Join(begun, " and "))
	if p.HasVersions() { // a row that is made once is never over
		sql += " and (" + strings.Join(over, " or ") + ")"
	}
	return sql
}

// versionsOf gives the table that has every version of a projection's rows, and the columns of such a version as SQL, where h is one of them.
// Rows that are made once are the only version of themselves.
func versionsOf(schema string, p plan.Plan) (table, columns string) {
	if !p.HasVersions() {
		return pgx.Identifier{schema, p.Name}.Sanitize(), columnsOf(p, "")
	}
	table = pgx.Identifier{schema, p.Name + "_history"}.Sanitize()
	return table, columnsOf(p, table)
}

// columnsOf lists a row's columns, where h is a row of the table itself, or of the history that is named.
func columnsOf(p plan.Plan, history string) string {
	var columns []string
	for _, c := range plan.EngineColumns() {
		columns = append(columns, "h."+pgx.Identifier{c}.Sanitize())
	}
	for _, c := range p.Columns {
		if history != "" {
			columns = append(columns, c.InHistory(history))
		} else {
			columns = append(columns, "h."+pgx.Identifier{c.Name}.Sanitize())
		}
	}
	return strings.Join(columns, ", ")
}
