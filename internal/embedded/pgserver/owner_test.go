package pgserver

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// made is one object of each kind that a program or an administrator makes.
var made = []string{
	"create schema shop", "create table shop.orders (id int generated always as identity primary key, n serial, note text)", "insert into shop.orders (note) values ('kept')",
	"create sequence shop.numbers", "create view shop.shown as select * from shop.orders", "create materialized view shop.kept as select * from shop.orders",
	"create table shop.parts (k int) partition by list (k)", "create table shop.part1 partition of shop.parts for values in (1)",
	"create type shop.colour as enum ('red')", "create type shop.pair as (a int, b int)", "create domain shop.positive as int check (value > 0)",
	"create function shop.one(int default 1, variadic rest text[] default '{}') returns int language sql as 'select 1'", "create procedure shop.nothing() language sql as ''",
	"create aggregate shop.total(int) (sfunc = int4pl, stype = int)",
	`create schema "With ""quotes"""`, `create table "With ""quotes"""."A table" (n int)`, "create table public.plain (n int)",
}

// notTheOwners counts what of this database is the superuser's, but for what initdb made.
const notTheOwners = `select (select count(*) from pg_database where datname = current_database() and datdba <> 'daybook_owner'::regrole)
	+ (select count(*) from pg_namespace where oid >= 16384 and nspname !~ '^pg_' and nspowner <> 'daybook_owner'::regrole)
	+ (select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace where c.oid >= 16384 and nspname !~ '^pg_' and relowner <> 'daybook_owner'::regrole)
	+ (select count(*) from pg_proc where oid >= 16384 and proowner <> 'daybook_owner'::regrole)
	+ (select count(*) from pg_type t join pg_namespace n on n.oid = typnamespace where t.oid >= 16384 and nspname !~ '^pg_' and typowner <> 'daybook_owner'::regrole)`

const dangerous = `select count(*) from pg_roles where rolname !~ '^pg_' and rolname <> 'daybook' and (rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls)`

// formerly makes the directory of a server that ended what a program without an owner's role made: everything is the superuser's.
func formerly(t *testing.T, dir string) *Server {
	t.Helper()
	s := start(t, Config{Dir: dir})
	if err := exec1(t, s.SuperuserURL(), append([]string{
		"alter database daybook owner to daybook", "drop owned by daybook_owner", "drop role daybook_owner", "grant all on database daybook to public",
	}, made...)...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.cfg.OwnerFile); err != nil {
		t.Fatal(err)
	}
	return s
}

// The database and all that is in it belong to a role without attributes: in a new directory, in one where everything was made by
// the superuser, and in one whose server is taken over while it runs.
func TestTheOwnerOwnsEverything(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, dir string){
		"new":    func(*testing.T, string) {},
		"former": func(t *testing.T, dir string) { formerly(t, dir) },
		"former, running": func(t *testing.T, dir string) {
			cmd := byHand(t, formerly(t, dir))
			go func() { _ = cmd.Wait() }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filledDir(t)
			prepare(t, dir)
			logins := map[string]string{"guest": filepath.Join(dir, "guest.password")}
			for range 2 { // the second start finds all as it is
				s := start(t, Config{Dir: dir, Logins: logins})
				if n := query[int](t, s.SuperuserURL(), notTheOwners); n != 0 {
					t.Errorf("%d objects are not the owner's", n)
				}
				if n := query[int](t, s.SuperuserURL(), dangerous); n != 0 {
					t.Errorf("%d roles besides the superuser have an attribute", n)
				}
				if who := query[string](t, s.URL(), "select current_user"); who != owner {
					t.Errorf("connected as %s", who)
				}
				if err := exec1(t, s.URL(), "create schema own", "create table own.t (n int)", "drop schema own cascade"); err != nil {
					t.Errorf("the owner: %v", err)
				}
				if name != "new" {
					if err := exec1(t, s.URL(), "insert into shop.orders (note) values ('more')", "alter table shop.orders add column if not exists x int", "refresh materialized view shop.kept"); err != nil {
						t.Errorf("the owner of what the superuser made: %v", err)
					}
				}
				for _, sql := range []string{"create role r", "create database d", "alter system set work_mem = 64", "select pg_read_file('PG_VERSION')", "copy (select 1) to program 'true'", "set role daybook"} {
					if err := exec1(t, s.URL(), sql); err == nil || !strings.Contains(err.Error(), "42501") {
						t.Errorf("the owner may %s: %v", sql, err)
					}
				}
				guest, err := os.ReadFile(logins["guest"])
				if err != nil {
					t.Fatal(err)
				}
				address, err := url.Parse(s.SuperuserURL())
				if err != nil {
					t.Fatal(err)
				}
				address.User = url.UserPassword("guest", strings.TrimSpace(string(guest)))
				asGuest := address.String()
				if who := query[string](t, asGuest, "select current_user"); who != "guest" {
					t.Errorf("connected as %s", who)
				}
				for _, sql := range []string{"create table public.g ()", "create schema g", "create temporary table g ()"} {
					if err := exec1(t, asGuest, sql); err == nil || !strings.Contains(err.Error(), "42501") {
						t.Errorf("a guest may %s: %v", sql, err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Roles whose passwords were lost, or that somebody gave more than they need, are put right by the next start.
func TestRolesArePutRight(t *testing.T) {
	t.Parallel()
	dir := filledDir(t)
	s := start(t, Config{Dir: dir})
	if err := exec1(t, s.SuperuserURL(), "alter role daybook_owner superuser createrole nologin"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.cfg.OwnerFile); err != nil {
		t.Fatal(err)
	}
	s = start(t, Config{Dir: dir})
	if who := query[string](t, s.URL(), "select current_user"); who != owner {
		t.Errorf("connected as %s", who)
	}
	if n := query[int](t, s.SuperuserURL(), dangerous); n != 0 {
		t.Errorf("%d roles besides the superuser have an attribute", n)
	}
}
