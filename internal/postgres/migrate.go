package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var files embed.FS

// migrating is the advisory lock under which one process at a time migrates: "daybook" in ASCII.
const migrating = 0x64_61_79_62_6f_6f_6b

// Migrate brings the schema daybook up to what this program needs. Processes that start at once wait for one another. Tables of a
// newer program are left alone: *NewerError.
// It needs a connection of its own, not one through PgBouncer.
func Migrate(ctx context.Context, url string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrate Postgres: %w", err)
		}
	}()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	if err := passfile(url, cfg); err != nil {
		return err
	}
	lock, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close(context.WithoutCancel(ctx)) }() // frees the lock
	if _, err := lock.Exec(ctx, "select pg_advisory_lock($1)", int64(migrating)); err != nil {
		return err
	}
	if _, err := lock.Exec(ctx, "create schema if not exists daybook"); err != nil {
		return err
	}
	sources, err := fs.Sub(files, "migrations")
	if err != nil {
		return err
	}
	store, err := database.NewStore(database.DialectPostgres, "daybook.migration")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider("", db, sources, goose.WithStore(store), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	has, knows, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if has > knows {
		return &NewerError{Has: has, Knows: knows}
	}
	_, err = provider.Up(ctx)
	return err
}

// NewerError says that the tables are those of a newer program.
type NewerError struct{ Has, Knows int64 } // migrations

func (e *NewerError) Error() string {
	return fmt.Sprintf("its tables are of version %d, this program knows them up to version %d: run the program that changed them, or a newer one; "+
		"to go back, restore a backup of before it ran, see docs/upgrading.md", e.Has, e.Knows)
}
