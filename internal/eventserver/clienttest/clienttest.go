// Package clienttest is what tests of an event store over the wire share: the official client opened for a test, and its calls
// with their waiting bounded and their errors fatal. It does not know whose server it talks to.
package clienttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
)

// Unlimited is the count of a read to the end.
const Unlimited = ^uint64(0)

// Connect opens a silent client, closed when the test ends.
func Connect(t testing.TB, connection string, change ...func(*esdb.Configuration)) *esdb.Client {
	t.Helper()
	cfg, err := esdb.ParseConnectionString(connection)
	Must(t, err)
	cfg.Logger = func(esdb.LogLevel, string, ...any) {}
	for _, f := range change {
		f(cfg)
	}
	c, err := esdb.NewClient(cfg)
	Must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Within bounds a test's waiting by a minute; it is no synchronisation.
func Within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Eventually waits until something holds, at most 30 s.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Must ends the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Code is the client's code of an error, -1 of none.
func Code(err error) esdb.ErrorCode {
	if e, ok := errors.AsType[*esdb.Error](err); ok {
		return e.Code()
	}
	return -1
}

// Event is a new JSON event, with data and metadata that tell n.
func Event(n int) esdb.EventData {
	return esdb.EventData{EventID: uuid.New(), EventType: "thing.happened", ContentType: esdb.ContentTypeJson,
		Data: fmt.Appendf(nil, `{"n":%d}`, n), Metadata: fmt.Appendf(nil, `{"schema":%d}`, n)}
}

// Events are n of them, from 0.
func Events(n int) []esdb.EventData {
	es := make([]esdb.EventData, n)
	for i := range es {
		es[i] = Event(i)
	}
	return es
}

// TryAppend appends and gives the client's error.
func TryAppend(t testing.TB, c *esdb.Client, stream string, at esdb.ExpectedRevision, es ...esdb.EventData) (*esdb.WriteResult, error) {
	t.Helper()
	return c.AppendToStream(Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: at}, es...)
}

// Append appends what must be accepted.
func Append(t testing.TB, c *esdb.Client, stream string, at esdb.ExpectedRevision, es ...esdb.EventData) *esdb.WriteResult {
	t.Helper()
	r, err := TryAppend(t, c, stream, at, es...)
	if err != nil {
		t.Fatalf("append to %s: %v", stream, err)
	}
	return r
}

// Collect takes a read's result to its end; with an error it gives what came before.
func Collect(r *esdb.ReadStream, err error) ([]*esdb.ResolvedEvent, error) {
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

// ReadStream reads at most count events of a stream.
func ReadStream(t testing.TB, c *esdb.Client, stream string, o esdb.ReadStreamOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	all, err := Collect(c.ReadStream(Within(t), stream, o, count))
	if err != nil {
		t.Fatalf("read %s: after %d events: %v", stream, len(all), err)
	}
	return all
}

// ReadAll reads at most count events of all streams.
func ReadAll(t testing.TB, c *esdb.Client, o esdb.ReadAllOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	all, err := Collect(c.ReadAll(Within(t), o, count))
	if err != nil {
		t.Fatalf("read $all: after %d events: %v", len(all), err)
	}
	return all
}

// FirstOf reads one event of a stream and gives the error of it, io.EOF where there is a stream but no event.
func FirstOf(t testing.TB, c *esdb.Client, stream string) error {
	t.Helper()
	all, err := Collect(c.ReadStream(Within(t), stream, esdb.ReadStreamOptions{}, 1))
	if err == nil && len(all) == 0 {
		return io.EOF
	}
	return err
}

// Next waits for the subscription's next event, skipping what is none.
func Next(t testing.TB, sub *esdb.Subscription) *esdb.ResolvedEvent {
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
