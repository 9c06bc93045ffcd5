package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/failure"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// patiently waits for another process that makes builds, and makes tables and indexes for as long as that takes.
const patiently = `select set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)`

// lockBuilds serialises the making and removing of builds among processes.
const lockBuilds = `select pg_advisory_xact_lock(hashtextextended('daybook.projection_build', 0))`

// build is a build as Postgres has it, with the code that feeds it.
type build struct {
	plan    plan.Plan
	id      int64
	schema  string
	live    *shape
	history *shape // nil: none is kept
	types   map[string]bool
	about   map[string]bool // categories of the events it reads
	known   func(typ string) bool
	wide    []int // of a table with history: the fields that a version keeps only if it changed them
	sql     statements
}

// concerned tells whether the build must look at an event: it reads such events, or the event is beside those it reads and of a type that is not
// known, so that what it means for a row is not known either.
func (b *build) concerned(r es.Record) bool {
	return b.types[r.Type] || b.about[r.Stream.Category] && !b.known(r.Type)
}

func (b *build) who() failure.Who {
	return failure.Who{Kind: "read model", Name: b.plan.Name, Build: b.id}
}

// openBuilds finds the newest build of each plan's version, or makes it.
func openBuilds(ctx context.Context, cfg Config, plans []plan.Plan) ([]*build, error) {
	builds := make([]*build, len(plans))
	err := pgx.BeginFunc(ctx, cfg.Pool, func(tx pgx.Tx) error {
		for _, sql := range []string{patiently, lockBuilds} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		for i, p := range plans {
			b, err := openBuild(ctx, tx, cfg, p)
			if err != nil {
				return fmt.Errorf("projection %s version %d: %w", p.Name, p.Version, err)
			}
			builds[i] = b
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("opening the builds of the projections: %w", err)
	}
	return builds, nil
}

func openBuild(ctx context.Context, tx pgx.Tx, cfg Config, p plan.Plan) (*build, error) {
	b := &build{plan: p, types: map[string]bool{}, about: map[string]bool{}, wide: p.WideInHistory()}
	b.known = func(typ string) bool { return cfg.Catalog.Version(typ) > 0 }
	for _, typ := range p.Types {
		category, _, _ := strings.Cut(typ, ".")
		b.types[typ], b.about[category] = true, true
	}
	var (
		made        checkpoint.Origin
		fingerprint string
	)
	err := tx.QueryRow(ctx, `select id, schema_name, partitions, incarnation, filter, fingerprint from daybook.projection_build
		where projection = $1 and version = $2 order by id desc limit 1`, p.Name, p.Version).
		Scan(&b.id, &b.schema, &made.Partitions, &made.Incarnation, &made.Filter, &fingerprint)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = b.make(ctx, tx, cfg)
	case err != nil:
	case made != cfg.origin():
		err = &ConfigError{cfg.origin().Accept(fmt.Sprintf("build %d", b.id), made)}
	case !strings.HasPrefix(fingerprint, layout):
		err = &ConfigError{fmt.Errorf("another version of the program laid out the tables of build %d: run `daybook recover --read-models`", b.id)}
	case fingerprint != fingerprintOf(p):
		err = &ConfigError{fmt.Errorf("its schema, columns or events have changed since build %d was made: raise its Version", b.id)}
	}
	if err != nil {
		return nil, err
	}
	if b.live, err = loadShape(ctx, tx, b.schema, p.Name); err != nil {
		return nil, err
	}
	if p.HasVersions() {
		if b.history, err = loadShape(ctx, tx, b.schema, p.Name+"_history"); err != nil {
			return nil, err
		}
	}
	b.sql = b.statements()
	return b, nil
}

// layout begins a fingerprint. It changes with the columns that the engine adds to a table and its history.
const layout = "2:"

// fingerprintOf changes whenever an existing build could not be fed any more as it was.
func fingerprintOf(p plan.Plan) string {
	h := sha256.New()
	parts := []string{fmt.Sprintf("%q %q %t %t %t %q", p.Definition(), p.Stream, p.History, p.Shared, p.Once, p.Types)}
	for _, c := range p.Columns {
		parts = append(parts, fmt.Sprintf("%q %q %t", c.Name, c.Type, c.Wide()))
	}
	h.Write([]byte(strings.Join(parts, " ")))
	return layout + hex.EncodeToString(h.Sum(nil)[:16])
}

// make creates the build with its schema, its tables and its checkpoints at 0. The first build of a projection is
// pointed to at once.
func (b *build) make(ctx context.Context, tx pgx.Tx, cfg Config) error {
	if err := tx.QueryRow(ctx, `select nextval(pg_get_serial_sequence('daybook.projection_build', 'id'))`).Scan(&b.id); err != nil {
		return err
	}
	b.schema = fmt.Sprintf("%s_b%d", b.plan.Name, b.id)
	if _, err := tx.Exec(ctx, `insert into daybook.projection_build (id, projection, version, schema_name, partitions, incarnation, filter, fingerprint)
		overriding system value values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		b.id, b.plan.Name, b.plan.Version, b.schema, cfg.Partitions, cfg.Incarnation, cfg.origin().Filter, fingerprintOf(b.plan)); err != nil {
		return err
	}
	for _, sql := range []string{
		`insert into daybook.projection_group (part) select generate_series(0, $1 - 1) on conflict do nothing`,
		// Where nothing has been applied yet it belongs to the group from the start, which the one that feeds that must know.
		`update daybook.projection_group set epoch = nextval('daybook.projection_epoch')
			where part in (select part from daybook.projection_group where part < $1 and position = 0 order by part for update)`,
	} {
		if _, err := tx.Exec(ctx, sql, cfg.Partitions); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `insert into daybook.projection_checkpoint (build, part) select $1, part from daybook.projection_group
		where part < $2 and position > 0`, b.id, cfg.Partitions); err != nil {
		return err
	}
	if err := b.createTables(ctx, tx); err != nil {
		return &ConfigError{fmt.Errorf("making its tables: %w", err)}
	}
	_, err := tx.Exec(ctx, `insert into daybook.projection_pointer (projection, build) values ($1, $2) on conflict do nothing`, b.plan.Name, b.id)
	return err
}

// createTables runs the projection's own statement for the table, adds the key and the history, and then runs the rest of
// its schema, which are indexes on both.
func (b *build) createTables(ctx context.Context, tx pgx.Tx) error {
	table, indexes := splitSchema(b.plan.Definition())
	name := pgx.Identifier{b.plan.Name}.Sanitize()
	history := pgx.Identifier{b.plan.Name + "_history"}.Sanitize()
	schema := pgx.Identifier{b.schema}.Sanitize()
	for _, s := range []string{
		`create schema ` + schema,
		`set local search_path to ` + schema,
		`create table engine (
			key text collate "C" not null, suffix text collate "C" not null,
			version bigint not null, revision bigint not null, position bigint not null,
			valid_from timestamptz not null, recorded_from timestamptz not null)`,
		table,
	} {
		if _, err := tx.Exec(ctx, s); err != nil {
			return err
		}
	}
	made, err := loadShape(ctx, tx, b.schema, b.plan.Name)
	if err != nil {
		return err
	}
	if err := made.fits(tx.Conn().TypeMap(), b.plan); err != nil {
		return err
	}
	sql := []string{`alter table ` + name + ` add primary key (key, suffix), set (fillfactor = 85)`}
	if b.plan.HasVersions() {
		for _, i := range b.wide {
			sql = append(sql, `alter table `+name+` add column `+pgx.Identifier{b.plan.Columns[i].WrittenIn()}.Sanitize()+` int not null`)
		}
		// The next version's begin is in the row before it, in no index, on a page with room: a HOT update.
		sql = append(sql, `create table `+history+` (like `+name+`, valid_to timestamptz not null, recorded_to timestamptz not null,
			primary key (key, suffix, version)) with (fillfactor = 85)`)
		for _, i := range b.wide {
			sql = append(sql, `alter table `+history+` alter column `+pgx.Identifier{b.plan.Columns[i].Name}.Sanitize()+` drop not null`)
		}
	}
	for _, s := range append(sql, indexes, `drop table engine`, `set local search_path to default`) {
		if _, err := tx.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// Forget removes every build with its tables: the next start builds all of them anew from the event store. No process may
// be running.
func Forget(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, lockBuilds); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `select schema_name from daybook.projection_build`)
	if err != nil {
		return err
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, s := range schemas {
		if _, err := tx.Exec(ctx, `drop schema if exists `+pgx.Identifier{s}.Sanitize()+` cascade`); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `delete from daybook.projection_pointer; delete from daybook.projection_checkpoint;
		delete from daybook.projection_group; delete from daybook.projection_build`)
	return err
}
