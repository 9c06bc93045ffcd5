package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/backoff"
)

const (
	// ReadSchema holds the views for people and their tools.
	ReadSchema = "read"
	// Reader is the role that can read those and nothing else.
	Reader = "daybook_reader"
)

// ReaderSQL is what an administrator runs where there is no such role: this program makes none, and the password is the
// administrator's choice. The role that runs the program then grants, or has granted, the rest.
const ReaderSQL = `create role ` + Reader + ` login password '...'`

// ErrNoReader says that there is no role for reading.
var ErrNoReader = errors.New("there is no role " + Reader)

// AllowReading lets Reader read the views for people, those to come included.
func AllowReading(ctx context.Context, pool *pgxpool.Pool) (err error) {
	for range 20 {
		if err = allowReading(ctx, pool); !beside(err) {
			break
		}
		_ = backoff.Wait(ctx, 50*time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("let %s read: %w", Reader, err)
	}
	return nil
}

func allowReading(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", Reader).Scan(&there); err != nil {
			return err
		}
		if !there {
			return ErrNoReader
		}
		for _, sql := range []string{
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

// beside says that another process does the same at the same moment, or holds what it needs.
func beside(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "42710" || pg.Code == "23505" || pg.Code == "XX000" || pg.Code == "40001" || pg.Code == "55P03")
}
