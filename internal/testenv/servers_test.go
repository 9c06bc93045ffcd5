package testenv

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// An external database is no superuser's, and its session is not set up as the embedded Postgres is: what runs on it shows that
// the program asks for neither.
func TestExternalDatabaseIsAnOrdinaryOne(t *testing.T) {
	t.Parallel()
	superuser, _ := ownPostgres(t)
	conn, err := pgx.Connect(t.Context(), database(t, superuser))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var super bool
	var zone string
	err = conn.QueryRow(t.Context(), `select rolsuper, current_setting('timezone') from pg_roles where rolname = current_user`).Scan(&super, &zone)
	if err != nil || super || zone == "UTC" {
		t.Errorf("superuser %t, time zone %s, %v", super, zone, err)
	}
}

func TestArgsNameWhatIsGiven(t *testing.T) {
	t.Parallel()
	embedded := (&Servers{Kind: Embedded}).Args()
	if slices.Contains(embedded, "--kafka") || !slices.Contains(embedded, "--kafka-listen") {
		t.Errorf("embedded: %v", embedded)
	}
	given := (&Servers{Kind: Containers, EventStore: "e", Kafka: "k", Postgres: "p"}).Args()
	if !slices.Equal(given[len(given)-6:], []string{"--eventstore", "e", "--kafka", "k", "--postgres", "p"}) {
		t.Errorf("given: %v", given)
	}
}
