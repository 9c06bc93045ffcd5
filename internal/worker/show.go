package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// shownIn is the schema of the views for people: one per projection, of the build that serves.
const shownIn = postgres.ReadSchema

// show makes the views of the builds that serve and are not shown yet. One that is in use is tried again later.
func (w *Worker) show(ctx context.Context) error {
	var all []error
	for _, b := range w.builds {
		err := pgx.BeginFunc(ctx, w.cfg.Pool, func(tx pgx.Tx) error { return b.show(ctx, tx) })
		if err != nil {
			all = append(all, fmt.Errorf("view %s.%s: %w", shownIn, b.plan.Name, err))
		}
	}
	return errors.Join(all...)
}

func (b *build) show(ctx context.Context, tx pgx.Tx) error {
	about := b.plan.Describe()
	columns := plan.EngineColumns()
	for _, c := range b.plan.Columns {
		columns = append(columns, c.Name)
	}
	view, quoted := pgx.Identifier{shownIn, b.plan.Name}.Sanitize(), make([]string, len(columns))
	comments := []string{"comment on view " + view + " is " + literal(about[""])}
	for i, c := range columns {
		quoted[i] = pgx.Identifier{c}.Sanitize()
		comments = append(comments, "comment on column "+view+"."+quoted[i]+" is "+literal(about[c]))
	}
	shows := "view " + view + " as select " + strings.Join(quoted, ", ") + " from " + b.live.name
	sum := sha256.Sum256([]byte(shows + strings.Join(comments, ";")))
	mark := hex.EncodeToString(sum[:16])
	var shown *string
	err := tx.QueryRow(ctx, `select shown from daybook.projection_pointer where projection = $1 and build = $2 for update`, b.plan.Name, b.id).Scan(&shown)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && shown != nil && *shown == mark {
		return nil // another build serves, or this one is shown
	}
	if err != nil {
		return err
	}
	for _, sql := range append([]string{
		"set local lock_timeout = '1s'", // of those who read it
		"create schema if not exists " + shownIn,
		"savepoint columns",
	}, "create or replace "+shows) {
		if _, err = tx.Exec(ctx, sql); err != nil {
			break
		}
	}
	if code(err) == "42P16" { // the columns are others
		for _, sql := range []string{"rollback to columns", "drop view " + view, "create " + shows} {
			if _, err = tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	for _, sql := range comments {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `update daybook.projection_pointer set shown = $1 where projection = $2`, mark, b.plan.Name)
	return err
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
