package reader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Cause is a version of a row with the event that made it.
type Cause struct {
	projection.Stamp

	Changes []query.Change // of columns, since the version before
	Event   es.Record
	Meta    es.Meta
}

// History is a part of what made one row.
type History struct {
	Causes   []Cause
	More     bool
	Position uint64 // that the answer reaches
}

// NoRowError says that a read model has no such row, and which the key has instead, some of them.
type NoRowError struct {
	Key      plan.Key
	Suffixes []string
}

func (e *NoRowError) Error() string {
	if len(e.Suffixes) == 0 {
		return fmt.Sprintf("there is no row %s", e.Key)
	}
	return fmt.Sprintf("there is no row %s; rows of %s have the suffixes %q", e.Key, e.Key.Key, e.Suffixes)
}

// suffixesNamed is how many rows of a key a NoRowError names.
const suffixesNamed = 20

// Events is an event store as Why reads it.
type Events interface {
	// ReadFrom yields the event at a position, and those after it.
	ReadFrom(ctx context.Context, position uint64) iter.Seq2[es.Record, error]
}

// Why gives at most limit versions of a row after a version, -1 from the first: what each changed, and the event that made
// it. The row is the live build's.
func (r *Reader) Why(ctx context.Context, events Events, p projection.Projection, key plan.Key, after int64, limit int) (History, error) {
	v, err := r.view(p)
	if err != nil {
		return History{}, err
	}
	v.parkedToo = true
	name := v.names[0]
	if !v.plans[name].History {
		return History{}, fmt.Errorf("%s: %w", name, query.ErrNoHistory)
	}
	leave, err := r.aside(ctx)
	if err != nil {
		return History{}, err
	}
	defer leave()
	var h History
	answer, err := v.Read(ctx, query.Ask{Key: key.Key}, func(ctx context.Context, s query.Snapshot) (err error) {
		at, ok := s.(*snapshot)
		if !ok {
			return fmt.Errorf("a snapshot is %T", s)
		}
		h, err = at.history(ctx, name, key, after, limit)
		return err
	})
	if err != nil {
		return History{}, fmt.Errorf("read the history of %s %s: %w", name, key, err)
	}
	h.Position = answer.Position
	return h, h.find(ctx, events)
}

type version struct {
	projection.Stamp

	Row string `db:"body"`
}

// versionsSQL reads versions of the row $1 and $2 from the version $3, at most $4, by the primary key: their stamps, and the columns without
// those of the engine ($5) as JSON.
func versionsSQL(schema string, p plan.Plan) string {
	table, columns := versionsOf(schema, p)
	return `select ` + query.Columns[projection.Stamp]() + `, (to_jsonb(r) - $5::text[])::text as body from (
		select ` + columns + ` from ` + table + ` h
		where h.key = $1 and h.suffix = $2 and h.version >= $3 order by h.version limit $4) r order by version`
}

// history reads the versions, and the one before them to compare the first with.
func (s *snapshot) history(ctx context.Context, name string, key plan.Key, after int64, limit int) (History, error) {
	if _, err := s.conn.Exec(ctx, `set local timezone to 'UTC'`); err != nil {
		return History{}, err
	}
	rows, err := s.conn.Query(ctx, versionsSQL(s.live[name].schema, s.view.plans[name]), key.Key, key.Suffix, after, limit+2, plan.EngineColumns())
	if err != nil {
		return History{}, err
	}
	versions, err := pgx.CollectRows(rows, pgx.RowToStructByName[version])
	if err != nil {
		return History{}, err
	}
	if len(versions) == 0 && after < 0 {
		return History{}, s.noRow(ctx, name, key)
	}
	var h History
	var before json.RawMessage
	for _, v := range versions {
		row, err := shown([]byte(v.Row))
		if err != nil {
			return History{}, err
		}
		if v.Version > after {
			if h.More = len(h.Causes) == limit; h.More {
				break
			}
			changes, err := query.Changes(before, row)
			if err != nil {
				return History{}, err
			}
			v.ValidFrom, v.RecordedFrom = v.ValidFrom.UTC(), v.RecordedFrom.UTC()
			h.Causes = append(h.Causes, Cause{Stamp: v.Stamp, Changes: changes})
		}
		before = row
	}
	return h, nil
}

func (s *snapshot) noRow(ctx context.Context, name string, key plan.Key) error {
	rows, err := s.conn.Query(ctx, `select suffix from `+pgx.Identifier{s.live[name].schema, name}.Sanitize()+` where key = $1 and suffix <> $2 order by suffix limit $3`,
		key.Key, key.Suffix, suffixesNamed)
	if err != nil {
		return err
	}
	suffixes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	return &NoRowError{key, suffixes}
}

// skipped is how many events are read past on the way to the next one of a row, before it is asked for by itself.
const skipped = 50

// find reads the causes' events.
func (h *History) find(ctx context.Context, events Events) error {
	for next := 0; next < len(h.Causes); {
		began, passed := next, 0
		want := uint64(h.Causes[next].Position) //nolint:gosec // positions are not negative
		for rec, err := range events.ReadFrom(ctx, want) {
			if err != nil {
				return fmt.Errorf("read event %d: %w", want, err)
			}
			if rec.Position > want {
				break
			}
			if passed++; rec.Position < want {
				if passed > skipped {
					break
				}
				continue
			}
			c := &h.Causes[next]
			if c.Event = rec; json.Unmarshal(rec.Meta, &c.Meta) != nil {
				c.Meta = es.Meta{} // another application's
			}
			if next++; next == len(h.Causes) {
				return nil
			}
			want, passed = uint64(h.Causes[next].Position), 0 //nolint:gosec // likewise
		}
		if next == began {
			return fmt.Errorf("event %d: %w", want, errNoEvent)
		}
	}
	return nil
}

var errNoEvent = errors.New("the event store does not have it")

// sealedFields are those of es.Sealed as JSON.
var sealedFields = []string{"subject", "key", "stream", "type", "field", "ct"}

// shown is a row without the columns that are null, and with a text for each value of personal data: whose it is, and the end of what is
// sealed, by which one differs from another.
func shown(row []byte) (json.RawMessage, error) {
	var columns map[string]json.RawMessage
	if err := json.Unmarshal(row, &columns); err != nil {
		return nil, fmt.Errorf("read a row: %w", err)
	}
	for name, value := range columns {
		if string(value) == "null" {
			delete(columns, name)
			continue
		}
		if !bytes.Contains(value, []byte(`"ct"`)) {
			continue
		}
		var body any
		d := json.NewDecoder(bytes.NewReader(value))
		d.UseNumber()
		err := d.Decode(&body)
		if err == nil {
			value, err = json.Marshal(masked(body))
		}
		if err != nil {
			return nil, fmt.Errorf("read the column %s: %w", name, err)
		}
		if columns[name] = value; string(value) == "null" {
			delete(columns, name)
		}
	}
	return json.Marshal(columns)
}

func masked(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = masked(v[i])
		}
	case map[string]any:
		if text, sealed := sealedText(v); sealed {
			return text
		}
		for name := range v {
			v[name] = masked(v[name])
		}
	}
	return value
}

// sealedText is a text about a sealed value; nil about one that was not given.
func sealedText(v map[string]any) (text any, sealed bool) {
	if len(v) != len(sealedFields) {
		return nil, false
	}
	for _, name := range sealedFields {
		if _, ok := v[name]; !ok {
			return nil, false
		}
	}
	ct, _ := v["ct"].(string)
	if ct == "" {
		return nil, true
	}
	const mark = 8 // characters of its end, an authentication tag
	return fmt.Sprintf("sealed for %v, …%s", v["subject"], ct[max(0, len(ct)-mark):]), true
}
