package eventserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver"
)

// start runs a server of its own for the test.
func start(t testing.TB, change ...func(*eventserver.Config)) *eventserver.Server {
	t.Helper()
	cfg := eventserver.Config{Dir: t.TempDir()}
	for _, f := range change {
		f(&cfg)
	}
	s, err := eventserver.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close server: %v", err)
		}
	})
	return s
}

func connect(t testing.TB, s *eventserver.Server) *esdb.Client {
	t.Helper()
	cfg, err := esdb.ParseConnectionString(s.ConnectionString())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Logger = func(esdb.LogLevel, string, ...any) {}
	c, err := esdb.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// within bounds a test's waiting; it is no synchronisation.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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

func appendTo(t testing.TB, c *esdb.Client, stream string, at esdb.ExpectedRevision, es ...esdb.EventData) *esdb.WriteResult {
	t.Helper()
	r, err := c.AppendToStream(within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: at}, es...)
	if err != nil {
		t.Fatalf("append to %s: %v", stream, err)
	}
	return r
}

func code(err error) esdb.ErrorCode {
	if e, ok := errors.AsType[*esdb.Error](err); ok {
		return e.Code()
	}
	return -1
}

func collect(t testing.TB, r *esdb.ReadStream, err error) []*esdb.ResolvedEvent {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []*esdb.ResolvedEvent
	for {
		e, err := r.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		all = append(all, e)
	}
}

func readStream(t testing.TB, c *esdb.Client, stream string, o esdb.ReadStreamOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	r, err := c.ReadStream(within(t), stream, o, count)
	return collect(t, r, err)
}

func readAll(t testing.TB, c *esdb.Client, o esdb.ReadAllOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	r, err := c.ReadAll(within(t), o, count)
	return collect(t, r, err)
}

const unlimited = ^uint64(0)

var (
	readFromStart = esdb.ReadAllOptions{From: esdb.Start{}}
	noStreamYet   = esdb.NoStream{}
)

// next waits for the subscription's next event, skipping what is none.
func next(t testing.TB, sub *esdb.Subscription) *esdb.ResolvedEvent {
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

// firstOf reads one event of a stream and gives its error.
func firstOf(t *testing.T, c *esdb.Client, stream string) error {
	t.Helper()
	r, err := c.ReadStream(within(t), stream, esdb.ReadStreamOptions{}, 1)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.Recv()
	return err
}
