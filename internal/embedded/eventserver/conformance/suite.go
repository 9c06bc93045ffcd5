package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
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
		t.Run("settings", func(t *testing.T) { settings(t, s) }) // they hold for everybody: alone, and first
	}
	for _, cases := range [][]testCase{streamCases, allCases, deleteCases, subscribeCases, persistentCases, batchCases, errorCases, userCases, aclCases, operationCases} {
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
	cfg, err := esdb.ParseConnectionString(s.connection)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Username, cfg.Password = login, password
	cfg.Logger = func(esdb.LogLevel, string, ...any) {}
	c, err := esdb.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// unique is a stream that nobody else has.
func unique(kind string) string { return "conformance-" + kind + "-" + uuid.NewString() }

// within bounds a case's waiting; it is no synchronisation.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func event(n int) esdb.EventData {
	return esdb.EventData{EventID: uuid.New(), EventType: "thing.happened", ContentType: esdb.ContentTypeJson,
		Data: fmt.Appendf(nil, `{"n":%d}`, n), Metadata: fmt.Appendf(nil, `{"schema":%d}`, n)}
}

func events(n int) []esdb.EventData {
	es := make([]esdb.EventData, n)
	for i := range es {
		es[i] = event(i)
	}
	return es
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, c *esdb.Client, stream string, at esdb.ExpectedRevision, es ...esdb.EventData) *esdb.WriteResult {
	t.Helper()
	r, err := tryAppend(t, c, stream, at, es...)
	if err != nil {
		t.Fatalf("append to %s: %v", stream, err)
	}
	return r
}

func tryAppend(t *testing.T, c *esdb.Client, stream string, at esdb.ExpectedRevision, es ...esdb.EventData) (*esdb.WriteResult, error) {
	t.Helper()
	return c.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: at}, es...)
}

// code is the client's code of an error, -1 of none.
func code(err error) esdb.ErrorCode {
	if e, ok := errors.AsType[*esdb.Error](err); ok {
		return e.Code()
	}
	return -1
}

func collect(r *esdb.ReadStream, err error) ([]*esdb.ResolvedEvent, error) {
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all []*esdb.ResolvedEvent
	for {
		e, err := r.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

const unlimited = ^uint64(0)

func readStream(t *testing.T, c *esdb.Client, stream string, o esdb.ReadStreamOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	r, err := c.ReadStream(within(t), stream, o, count)
	all, err := collect(r, err)
	if err != nil {
		t.Fatalf("read %s: after %d events: %v", stream, len(all), err)
	}
	return all
}

// firstOf reads one event of a stream and gives its error.
func firstOf(t *testing.T, c *esdb.Client, stream string) error {
	t.Helper()
	r, err := c.ReadStream(within(t), stream, esdb.ReadStreamOptions{}, 1)
	_, err = collect(r, err)
	return err
}

func readAll(t *testing.T, c *esdb.Client, o esdb.ReadAllOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	r, err := c.ReadAll(within(t), o, count)
	all, err := collect(r, err)
	if err != nil {
		t.Fatalf("read $all: after %d events: %v", len(all), err)
	}
	return all
}

// next waits for the subscription's next event, skipping what is none.
func next(t *testing.T, sub *esdb.Subscription) *esdb.ResolvedEvent {
	t.Helper()
	for {
		e := sub.Recv()
		if e.SubscriptionDropped != nil {
			t.Fatalf("subscription dropped: %v", e.SubscriptionDropped.Error)
		}
		if e.EventAppeared != nil {
			return e.EventAppeared
		}
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
