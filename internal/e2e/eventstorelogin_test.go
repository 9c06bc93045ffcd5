package e2e_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// tried is what came of everything that a client can do to a log.
func tried(t *testing.T, connection string) map[string]error {
	t.Helper()
	settings, err := esdb.ParseConnectionString(connection)
	if err != nil {
		t.Fatal(err)
	}
	settings.Logger, settings.MaxDiscoverAttempts = esdb.NoopLogging(), 2
	c, err := esdb.NewClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	event := esdb.EventData{EventID: uuid.New(), EventType: "order.placed", ContentType: esdb.ContentTypeJson, Data: []byte("{}")}
	_, appended := c.AppendToStream(t.Context(), "probe-1", esdb.AppendToStreamOptions{}, event)
	read := func(r *esdb.ReadStream, err error) error {
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = r.Recv()
		return err
	}
	subscribed := func(s *esdb.Subscription, err error) error {
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		if e := s.Recv(); e.SubscriptionDropped != nil {
			return e.SubscriptionDropped.Error
		}
		return nil
	}
	return map[string]error{
		"append":    appended,
		"read":      read(c.ReadStream(t.Context(), "probe-1", esdb.ReadStreamOptions{}, 1)),
		"read all":  read(c.ReadAll(t.Context(), esdb.ReadAllOptions{}, 1)),
		"subscribe": subscribed(c.SubscribeToAll(t.Context(), esdb.SubscribeToAllOptions{})),
		"metadata":  second(c.SetStreamMetadata(t.Context(), "probe-1", esdb.AppendToStreamOptions{}, esdb.StreamMetadata{})),
		"group":     c.CreatePersistentSubscription(t.Context(), "probe-1", "g", esdb.PersistentStreamSubscriptionOptions{}),
		"delete":    second(c.DeleteStream(t.Context(), "probe-1", esdb.DeleteStreamOptions{})),
	}
}

func second[T any](_ T, err error) error { return err }

// The embedded event store takes calls only of those who know its password, which is made at first start and kept in the secrets
// directory only. A password that is lost is made anew.
func TestTheEventStoreAsksWhoCalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func() (*testenv.Process, string) {
		p := testenv.Start(t, testenv.Options{DataDir: dir, Roles: app.RoleEventStore, Args: testenv.AnyPorts()})
		var at app.Addresses
		p.Addresses(&at)
		return p, at.EventStore
	}
	p, address := start()
	own, err := secrets.LoadEventStore(filepath.Join(dir, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{own.KeyPair, own.Certificate, filepath.Join(dir, "secrets", "eventstore.password")} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v, want mode 0600", file, info, err)
		}
	}
	if b, err := os.ReadFile(app.RunFile(dir)); err != nil || strings.Contains(string(b), own.Password) || strings.Contains(address, "@") {
		t.Errorf("run.json holds user or password: %s %v", b, err)
	}
	with, err := secrets.WithLogin(address)
	if err != nil {
		t.Fatal(err)
	}
	host := func(user string) string { return strings.Replace(address, "://", "://"+user+"@", 1) }
	for who, connection := range map[string]string{"an anonymous caller": address, "a wrong password": host("admin:changeit"), "a wrong user": host("daybook:changeit")} {
		for what, err := range tried(t, connection) {
			e, ok := errors.AsType[*esdb.Error](err)
			if !ok || e.Code() != esdb.ErrorCodeAccessDenied && e.Code() != esdb.ErrorCodeUnauthenticated {
				t.Errorf("%s, %s: %v, want to be refused", who, what, err)
			}
		}
	}
	if plain := strings.Replace(address, "tls=true", "tls=false", 1); tried(t, plain)["append"] == nil {
		t.Error("a client without TLS appended")
	}
	for what, err := range tried(t, with) {
		if err != nil {
			t.Errorf("with the password, %s: %v", what, err)
		}
	}
	p.Stop()
	if err := os.Remove(filepath.Join(dir, "secrets", "eventstore.password")); err != nil {
		t.Fatal(err)
	}
	_, address = start()
	if tried(t, strings.Replace(with, strings.SplitN(strings.SplitN(with, "@", 2)[1], "?", 2)[0], strings.SplitN(strings.TrimPrefix(address, "esdb://"), "?", 2)[0], 1))["read all"] == nil {
		t.Error("the password that was lost still opens the store")
	}
	if with, err = secrets.WithLogin(address); err != nil || tried(t, with)["read all"] != nil {
		t.Errorf("the new password does not open the store: %v", err)
	}
}
