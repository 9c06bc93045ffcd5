package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// The roles that neither seal nor open personal data start and work where the keys for it are missing, and make none. None but
// the server itself has the password of Postgres' superuser.
func TestRolesWorkWithoutKeysTheyDoNotNeed(t *testing.T) {
	t.Parallel()
	servers := testenv.Start(t, testenv.Options{Roles: "eventstore,kafka,postgres,simulator", Args: testenv.AnyPorts()})
	secrets := filepath.Join(servers.DataDir, "secrets")
	passwords := []string{"postgres.password", "postgres-reader.password"} // they are the server's own
	for _, f := range passwords {
		if err := os.Remove(filepath.Join(secrets, f)); err != nil {
			t.Fatal(err)
		}
	}
	p := testenv.Start(t, testenv.Options{DataDir: servers.DataDir, Roles: "relay,projections,sagas"})
	for _, key := range []string{"installation.key", "key-encryption.key"} {
		if _, err := os.Stat(filepath.Join(secrets, key)); err == nil {
			t.Errorf("%s was made by a process that does not need it", key)
		}
	}
	s := openShop(t, testenv.Options{DataDir: servers.DataDir, Roles: "reactors,command-api,query-api,gateway"})
	s.stock(t, "MUG", 5)
	s.c.Post(t, 201, "/v1/orders", "place", testenv.Order("o1", "tok_approve", testenv.Line("MUG", 1)))
	if o := s.ended(t, "o1"); o.Status != "confirmed" {
		t.Errorf("%s", o)
	}
	for _, f := range passwords {
		if _, err := os.Stat(filepath.Join(secrets, f)); err == nil {
			t.Errorf("%s was made by a process that does not need it", f)
		}
	}
	p.Stop()
}
