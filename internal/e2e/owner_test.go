package e2e_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/embedded/pgserver"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// as connects to the embedded Postgres of a system as a role whose password is in a file of its secrets.
func as(t *testing.T, s *shop, role, file string) *pgx.Conn {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(s.DataDir, "secrets", file))
	if err != nil {
		t.Fatal(err)
	}
	at := database(t, s.Process).Config()
	address := url.URL{
		Scheme: "postgres", Host: strings.Join([]string{at.Host, portOf(t, s)}, ":"), Path: "/" + at.Database,
		User: url.UserPassword(role, strings.TrimSpace(string(password))), RawQuery: "sslmode=disable",
	}
	conn, err := pgx.Connect(t.Context(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func portOf(t *testing.T, s *shop) string {
	t.Helper()
	var at struct {
		Postgres string `json:"postgres"`
	}
	s.Addresses(&at)
	u, err := url.Parse(at.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	if _, password := u.User.Password(); password {
		t.Error("the address of Postgres holds a password")
	}
	return u.Port()
}

func texts(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// No part of a whole program connects to the embedded Postgres as a superuser, and the roles that it has may do nothing beyond their
// database. That holds in a data directory in which everything is the superuser's, too, and the program trades on there.
func TestProgramIsNoSuperuser(t *testing.T) {
	t.Parallel()
	s := openShop(t, testenv.Options{Args: testenv.AnyPorts()})
	s.stock(t, "MUG", 9)
	trades := func(order string) {
		t.Helper()
		s.c.Post(t, 201, "/v1/orders", order, testenv.Order(order, "tok_approve", testenv.Line("MUG", 1)))
		if o := s.ended(t, order); o.Status != "confirmed" {
			t.Errorf("%s", o)
		}
		superuser := as(t, s, "daybook", "postgres.password")
		if who := texts(t, superuser, `select application_name || ' as ' || usename from pg_stat_activity join pg_roles on rolname = usename
			where backend_type = 'client backend' and pid <> pg_backend_pid() and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)`); len(who) > 0 {
			t.Errorf("connected with more than they need: %q", who)
		}
		if who := texts(t, superuser, `select distinct application_name from pg_stat_activity where usename = 'daybook_owner'`); len(who) < 3 {
			t.Errorf("connected as the owner: only %q", who)
		}
		if more := texts(t, superuser, `select rolname from pg_roles where rolname !~ '^pg_' and rolname <> 'daybook'
			and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)`); len(more) > 0 {
			t.Errorf("with attributes: %q", more)
		}
		if theirs := texts(t, superuser, `select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = relnamespace
			where c.oid >= 16384 and nspname !~ '^pg_' and relowner <> 'daybook_owner'::regrole`); len(theirs) > 0 {
			t.Errorf("not the owner's: %q", theirs)
		}
		reader := as(t, s, "daybook_reader", "postgres-reader.password")
		if n := texts(t, reader, "select count(*)::text from read.order_details"); n[0] == "0" {
			t.Error("the reader sees no order")
		}
		for _, sql := range []string{
			"select * from daybook.personal_key", "delete from read.order_details", "create table read.mine ()", "create table public.mine ()",
			"create temporary table mine ()", "create schema mine", "set role daybook_owner",
		} {
			if _, err := reader.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("the reader may %s: %v", sql, err)
			}
		}
	}
	trades("new")
	s.Stop()

	secrets := filepath.Join(s.DataDir, "secrets")
	p, err := pgserver.Start(t.Context(), pgserver.Config{
		Dir: filepath.Join(s.DataDir, "postgres"), PasswordFile: filepath.Join(secrets, "postgres.password"), OwnerFile: filepath.Join(secrets, "postgres-owner.pgpass"),
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), p.SuperuserURL())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"reassign owned by daybook_owner to daybook", "drop owned by daybook_owner", "drop role daybook_owner"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(secrets, "postgres-owner.pgpass")); err != nil {
		t.Fatal(err)
	}
	s = openShop(t, testenv.Options{DataDir: s.DataDir, Args: testenv.AnyPorts()})
	trades("former")
}
