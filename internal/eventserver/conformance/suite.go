package conformance

import (
	"crypto/tls"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

// suite is one server under test.
type suite struct {
	connection string
	secured    bool
	admin      *esdb.Client
	conn       *grpc.ClientConn // the same server, for the protocol itself
	login      esdb.Credentials // the admin's
}

type testCase struct {
	name    string
	secured bool // only on a secured server
	run     func(*testing.T, *suite)
}

// Run runs all cases against the server that the connection string names. Of a secured server it must have an admin's name
// and password.
func Run(t *testing.T, connection string) {
	t.Helper()
	cfg, err := esdb.ParseConnectionString(connection)
	if err != nil {
		t.Fatalf("the server's connection string: %v", err)
	}
	s := &suite{connection: connection, secured: !cfg.DisableTLS, login: esdb.Credentials{Login: cfg.Username, Password: cfg.Password}}
	s.admin = s.connect(t, cfg.Username, cfg.Password)
	creds := insecure.NewCredentials()
	if s.secured {
		creds = credentials.NewTLS(&tls.Config{RootCAs: cfg.RootCAs, InsecureSkipVerify: cfg.SkipCertificateVerification}) //nolint:gosec // as the connection string asks
	}
	if s.conn, err = grpc.NewClient(cfg.Address, grpc.WithTransportCredentials(creds)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	if s.secured {
		t.Run("settings", func(t *testing.T) { settings(t, s) }) // they hold for all: alone, and first
	}
	for _, cases := range [][]testCase{streamCases, allCases, deleteCases, subscribeCases, persistentCases, groupCases, batchCases, errorCases, userCases, aclCases, operationCases} {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if c.secured && !s.secured {
					t.Skip("the server is an insecure one")
				}
				c.run(t, s)
			})
		}
	}
}

// connect gives a client of its own, by another name.
func (s *suite) connect(t *testing.T, login, password string) *esdb.Client {
	t.Helper()
	return clienttest.Connect(t, s.connection, func(cfg *esdb.Configuration) { cfg.Username, cfg.Password = login, password })
}

// unique is a stream of the caller's own.
func unique(kind string) string { return "conformance-" + kind + "-" + uuid.NewString() }
