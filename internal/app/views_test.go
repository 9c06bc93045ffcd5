package app

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/worker"
	store "github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/projections/products"
)

// Every read model is a view whose every column has a comment; the role for people reads the views and nothing else, also after
// another build serves.
func TestViewsForPeople(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	catalog, err := NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	administrator, err := pgx.Connect(t.Context(), postgrestest.Superuser(t, pool))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = administrator.Close(context.WithoutCancel(t.Context())) }()
	const password = "of the reader in this test"
	if _, err := administrator.Exec(t.Context(), "create role "+postgres.Reader); err != nil && !strings.Contains(err.Error(), "42710") { // it is there
		t.Fatal(err)
	}
	if _, err := administrator.Exec(t.Context(), "alter role "+postgres.Reader+" login password '"+password+"'"); err != nil {
		t.Fatal(err)
	}
	if err := postgres.AllowReading(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	shown := func(ps ...projection.Projection) {
		t.Helper()
		w, err := worker.New(t.Context(), worker.Config{Pool: pool, Projections: ps, Catalog: catalog, Log: store.New(), Incarnation: "test"})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var owning sync.WaitGroup
		defer owning.Wait()
		defer cancel()
		owning.Go(func() { w.Own(ctx, 0) })
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for left := -1; left != 0; <-tick.C {
			if err := pool.QueryRow(t.Context(), `select count(*) from daybook.projection_pointer p join daybook.projection_build b on b.id = p.build
				where shown is null or strpos(pg_get_viewdef(to_regclass('read.' || p.projection)), b.schema_name || '.') = 0
				or exists (select from daybook.projection_build n where n.projection = b.projection and n.version > b.version)`).Scan(&left); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := Projections()
	shown(all...)

	address, err := url.Parse(pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(postgres.Reader, password)
	reader, err := pgx.Connect(t.Context(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close(context.WithoutCancel(t.Context())) }()
	plans, err := plan.Compile(all...)
	if err != nil {
		t.Fatal(err)
	}
	readable := func() {
		t.Helper()
		for _, p := range plans {
			if _, err := reader.Exec(t.Context(), "select * from read."+p.Name); err != nil {
				t.Errorf("read.%s: %v", p.Name, err)
			}
		}
	}
	readable()
	rows, err := pool.Query(t.Context(), `select c.relname || coalesce('.' || a.attname, '') from pg_class c
		left join lateral (select attname, attnum from pg_attribute where attrelid = c.oid and attnum > 0 union all select null, 0) a on true
		where c.relnamespace = 'read'::regnamespace and coalesce(col_description(c.oid, a.attnum), obj_description(c.oid), '') = ''
		or c.relnamespace = 'read'::regnamespace and a.attnum > 0 and coalesce(col_description(c.oid, a.attnum), '') = ''`)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(bare) > 0 {
		t.Errorf("without a comment: %q, %v", bare, err)
	}
	for _, sql := range []string{
		"select * from daybook.personal_key", "select * from daybook.projection_pointer", "delete from read.products",
		"create table read.mine ()", "create table public.mine ()", "create schema mine", "select pg_read_file('postmaster.pid')",
	} {
		if _, err := reader.Exec(t.Context(), sql); err == nil {
			t.Errorf("the reader may %s", sql)
		}
	}
	rows, err = pool.Query(t.Context(), `select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname not in ('read', 'pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'v', 'm', 'S')
		and (has_table_privilege($1, c.oid, 'select') and has_schema_privilege($1, n.oid, 'usage'))`, postgres.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if open, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(open) > 0 {
		t.Errorf("the reader may also read %q, %v", open, err)
	}

	next := products.Projection
	next.Version++
	shown(append(all, next)...)
	readable()
}
