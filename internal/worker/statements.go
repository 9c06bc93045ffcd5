package worker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// statements are a build's SQL, with its schema's name in the text.
type statements struct {
	load   string // the rows of two arrays: keys and suffixes; empty where rows are made once
	upsert string // an array of rows
	insert string // an array of the history's rows
	end    string // of the versions that were the newest: keys, suffixes, versions, valid_to, recorded_to

	// source says where each column of the table comes from: a field of the row, or the engine.
	source []source
	types  []uint32 // by field: of its column
}

// all are those that the build has.
func (s statements) all() []string {
	return slices.DeleteFunc([]string{s.load, s.upsert, s.insert, s.end}, func(sql string) bool { return sql == "" })
}

// source is the index of a field, or, negative, an engine's column.
type source int

const (
	fromKey source = -iota - 1
	fromSuffix
	fromVersion
	fromRevision
	fromPosition
	fromValid
	fromRecorded
	fromWritten // and what is below: the versions that wrote the wide columns last
)

func (b *build) statements() statements {
	names := b.live.names()
	var loaded, assigned []string
	for _, c := range b.plan.Columns {
		loaded = append(loaded, "t."+pgx.Identifier{c.Name}.Sanitize())
	}
	written := make([]string, len(b.wide))
	for i, field := range b.wide {
		written[i] = b.plan.Columns[field].WrittenIn()
		loaded = append(loaded, "t."+pgx.Identifier{written[i]}.Sanitize())
	}
	for _, n := range names {
		if n != `"key"` && n != `"suffix"` {
			assigned = append(assigned, n+" = excluded."+n)
		}
	}
	insert := fmt.Sprintf(`insert into %s (%s) select %s from unnest($1::%s[])`, b.live.name, strings.Join(names, ", "), strings.Join(names, ", "), b.live.name)
	s := statements{upsert: insert}
	if !b.plan.Once {
		s.upsert += ` on conflict (key, suffix) do update set ` + strings.Join(assigned, ", ")
		s.load = fmt.Sprintf(`select t.key, t.suffix, t.version, t.revision, t.position, t.valid_from, t.recorded_from%s
			from unnest($1::text[], $2::text[]) k(key, suffix) join %s t on t.key = k.key collate "C" and t.suffix = k.suffix collate "C"`,
			prefixed(loaded), b.live.name)
	}
	if b.history != nil {
		columns := strings.Join(b.history.names(), ", ")
		s.insert = fmt.Sprintf(`insert into %s (%s) select %s from unnest($1::%s[])`, b.history.name, columns, columns, b.history.name)
		s.end = fmt.Sprintf(`update %s h set valid_to = e.valid_to, recorded_to = e.recorded_to
			from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[]) e(key, suffix, version, valid_to, recorded_to)
			where h.key = e.key collate "C" and h.suffix = e.suffix collate "C" and h.version = e.version`, b.history.name)
	}
	engine := plan.EngineColumns()
	s.types = make([]uint32, len(b.plan.Columns))
	for _, c := range b.live.columns {
		if i := slices.Index(engine, c.name); i >= 0 {
			s.source = append(s.source, source(-i-1))
			continue
		}
		if w := slices.Index(written, c.name); w >= 0 {
			s.source = append(s.source, fromWritten-source(w))
			continue
		}
		field := slices.IndexFunc(b.plan.Columns, func(p plan.Column) bool { return p.Name == c.name })
		s.source, s.types[field] = append(s.source, source(field)), c.typ
	}
	return s
}

func prefixed(columns []string) string {
	if len(columns) == 0 {
		return ""
	}
	return ", " + strings.Join(columns, ", ")
}
