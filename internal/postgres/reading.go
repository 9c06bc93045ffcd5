package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// ReadSchema holds the views for people and their tools.
	ReadSchema = "read"
	// Reader is the role that can read those and nothing else.
	Reader = "daybook_reader"
)

// ReaderSQL is what an administrator runs where the program's own role may not: the password is the administrator's choice.
const ReaderSQL = `create role ` + Reader + ` login password '...'; grant usage on schema ` + ReadSchema + ` to ` + Reader + `; grant select on all tables in schema ` +
	ReadSchema + ` to ` + Reader + `; alter default privileges in schema ` + ReadSchema + ` grant select on tables to ` + Reader

// ErrMayNot says that the program's own role may not make others.
var ErrMayNot = errors.New("this role may not make others")

// AllowReading makes the role that reads the views for people, with this password, or gives it to the role that is there.
func AllowReading(ctx context.Context, pool *pgxpool.Pool, password string) (err error) {
	for range 20 {
		if err = allowReading(ctx, pool, password); !beside(err) {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42501" {
		err = fmt.Errorf("%w: %w", ErrMayNot, err)
	}
	if err != nil {
		return fmt.Errorf("make the role %s: %w", Reader, err)
	}
	return nil
}

func allowReading(ctx context.Context, pool *pgxpool.Pool, password string) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var there bool
		var role string
		if err := tx.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1), format('role %I login nosuperuser nocreatedb nocreaterole password %L', $1::text, $2::text)`,
			Reader, password).Scan(&there, &role); err != nil {
			return err
		}
		for _, sql := range []string{
			map[bool]string{true: "alter ", false: "create "}[there] + role,
			"create schema if not exists " + ReadSchema,
			"grant usage on schema " + ReadSchema + " to " + Reader,
			"grant select on all tables in schema " + ReadSchema + " to " + Reader,
			"alter default privileges in schema " + ReadSchema + " grant select on tables to " + Reader,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// beside says that another process makes the role, which the whole server has in common, at the same moment.
func beside(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "42710" || pg.Code == "23505" || pg.Code == "XX000" || pg.Code == "40001")
}
