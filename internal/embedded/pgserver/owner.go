package pgserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// handOver makes the roles that there are besides the superuser, and gives the database to its owner. Where all is as it should be
// it writes nothing: the disk may be full.
func (s *Server) handOver(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.SuperuserURL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var changes []string
	password, err := secrets.Passfile(s.cfg.OwnerFile, owner)
	if err != nil {
		return err
	}
	if changes, err = s.login(ctx, conn, changes, owner, password); err != nil {
		return err
	}
	for _, role := range slices.Sorted(maps.Keys(s.cfg.Logins)) {
		if password, err = secrets.Text(s.cfg.Logins[role]); err != nil {
			return err
		}
		if changes, err = s.login(ctx, conn, changes, role, password); err != nil {
			return err
		}
	}
	if err := change(ctx, conn, changes); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, foreign, owner, slices.Collect(maps.Keys(s.cfg.Logins)))
	if err != nil {
		return fmt.Errorf("look what is not the owner's: %w", err)
	}
	if changes, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return fmt.Errorf("look what is not the owner's: %w", err)
	}
	return change(ctx, conn, changes)
}

// login adds what makes a role one that logs in with a password and has no attribute besides.
func (s *Server) login(ctx context.Context, conn *pgx.Conn, changes []string, role, password string) ([]string, error) {
	var there, plain bool
	var attributes string
	if err := conn.QueryRow(ctx, `select count(*) > 0, coalesce(bool_and(rolcanlogin and not (rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls)), false),
		format('role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password %L', $1::text, $2::text) from pg_roles where rolname = $1`,
		role, password).Scan(&there, &plain, &attributes); err != nil {
		return nil, fmt.Errorf("look at the role %s: %w", role, err)
	}
	if plain {
		knows, err := s.knows(ctx, role, password)
		if knows || err != nil {
			return changes, err
		}
	}
	return append(changes, map[bool]string{true: "alter ", false: "create "}[there]+attributes), nil
}

// knows tells whether a role logs in with this password.
func (s *Server) knows(ctx context.Context, role, password string) (bool, error) {
	cfg, err := pgx.ParseConfig(s.SuperuserURL())
	if err != nil {
		return false, err
	}
	cfg.User, cfg.Password = role, password
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		return true, conn.Close(ctx)
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "28P01" {
		return false, nil
	} else if ok && refused.Code == "42501" { // it is the right one, and the database is not opened to the role yet
		return true, nil
	}
	return false, fmt.Errorf("log in as %s: %w", role, err)
}

// change makes all changes or none. A system that is still at work on a server that was taken over can keep it waiting.
func change(ctx context.Context, conn *pgx.Conn, changes []string) error {
	if len(changes) == 0 {
		return nil
	}
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		for _, sql := range append([]string{"set local synchronous_commit = on", "set local lock_timeout = '30s'"}, changes...) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// foreign gives the statements that make the owner, $1, own this database and every object in it that no extension keeps, and that
// leave the roles of $2 nothing but to connect. Indexes, sequences of columns, and types of rows and arrays go with their tables
// and types. What initdb made has lower numbers than 16384 and stays the superuser's, as it must.
const foreign = `
with owner as (select oid, rolname as name from pg_roles where rolname = $1),
ours as (select oid, nspname, nspowner from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'),
kept as (select classid, objid from pg_depend where deptype = 'e')
select format('alter database %I owner to %I', d.datname, o.name) from pg_database d, owner o where d.datname = current_database() and d.datdba <> o.oid
union all
select format('revoke all on database %I from public', d.datname) from pg_database d where d.datallowconn and d.datname in (current_database(), 'postgres', 'template1')
	and exists (select from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) where grantee = 0)
union all
select format('grant connect on database %I to %I', current_database(), r.rolname) from pg_roles r where r.rolname = any($2)
	and not exists (select from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a where d.datname = current_database() and a.grantee = r.oid and a.privilege_type = 'CONNECT')
union all
select format('alter schema %I owner to %I', n.nspname, o.name) from ours n, owner o
	where n.oid >= 16384 and n.nspowner <> o.oid and (2615, n.oid) not in (select classid, objid from kept)
union all
select format('alter table %I.%I owner to %I', n.nspname, c.relname, o.name) from pg_class c join ours n on n.oid = c.relnamespace, owner o
	where c.oid >= 16384 and c.relowner <> o.oid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and (1259, c.oid) not in (select classid, objid from kept)
	and not (c.relkind = 'S' and exists (select from pg_depend where classid = 1259 and objid = c.oid and refclassid = 1259 and deptype in ('a', 'i')))
union all
select format('alter routine %I.%I(%s) owner to %I', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), o.name) from pg_proc p join ours n on n.oid = p.pronamespace, owner o
	where p.oid >= 16384 and p.proowner <> o.oid and (1255, p.oid) not in (select classid, objid from kept)
union all
select format('alter type %I.%I owner to %I', n.nspname, t.typname, o.name) from pg_type t join ours n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid, owner o
	where t.oid >= 16384 and t.typowner <> o.oid and (1247, t.oid) not in (select classid, objid from kept)
	and (t.typtype in ('d', 'e', 'r') or t.typtype = 'b' and t.typelem = 0 or t.typtype = 'c' and c.relkind = 'c')`
