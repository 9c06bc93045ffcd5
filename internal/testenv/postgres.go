package testenv

import (
	"context"
	"crypto/rand"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/embedded/pgserver"
)

// ownPostgres starts a Postgres of the test's own.
func ownPostgres(t testing.TB) (superuser, version string) {
	t.Helper()
	s, err := pgserver.Start(t.Context(), pgserver.Config{Dir: filepath.Join(DataDir(t), "postgres"), Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("stop Postgres: %v", err)
		}
	})
	return s.SuperuserURL(), s.Version()
}

// database makes a database that belongs to an ordinary role, whose settings are others than an embedded Postgres has.
func database(t testing.TB, superuser string) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	at, err := url.Parse(superuser)
	if err != nil {
		t.Fatalf("URL of Postgres: %v", err)
	}
	conn, err := pgx.Connect(ctx, superuser)
	if err != nil {
		t.Fatal(err)
	}
	name := "daybook_test_" + strings.ToLower(rand.Text())
	password := rand.Text()
	t.Cleanup(func() {
		defer func() { _ = conn.Close(ctx) }()
		for _, sql := range []string{"drop database if exists " + name + " with (force)", "drop role if exists " + name} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
	for _, sql := range []string{
		"create role " + name + " login password '" + password + "'",
		"alter role " + name + " set timezone = 'Asia/Kathmandu'",
		"alter role " + name + " set datestyle = 'German, DMY'",
		"alter role " + name + " set jit = on",
		"create database " + name + " owner " + name,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("database of the test: %v", err)
		}
	}
	at.User, at.Path = url.UserPassword(name, password), "/"+name
	return at.String()
}
