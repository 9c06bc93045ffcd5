package eventserver_test

import (
	"path/filepath"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// TestAdministration goes the whole way on a real disk: backup while serving, restore, serve the restored directory.
func TestAdministration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, backup, restored := filepath.Join(dir, "data"), filepath.Join(dir, "backup"), filepath.Join(dir, "deep", "er", "restored")
	s := start(t, func(cfg *eventserver.Config) { cfg.Dir = data })
	c := connect(t, s)
	clienttest.Append(t, c, "s", esdb.NoStream{}, clienttest.Events(50)...)
	m := esdb.StreamMetadata{}
	m.SetMaxCount(10)
	if _, err := c.SetStreamMetadata(clienttest.Within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m); err != nil {
		t.Fatal(err)
	}
	if _, err := eventserver.Verify(t.Context(), data); err == nil {
		t.Error("a directory that is served was opened a second time")
	}
	if r, err := s.Verify(t.Context()); err != nil || r.Events != 52 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Scavenge(t.Context()); err != nil || got.Events != 40 {
		t.Errorf("scavenged %+v %v", got, err)
	}
	all := clienttest.ReadAll(t, c, esdb.ReadAllOptions{}, clienttest.Unlimited)
	if len(all) != 12 || all[len(all)-1].Event.Position.Commit != 52 {
		t.Errorf("$all has %d events after the scavenge, want 12", len(all))
	}
	if n := len(clienttest.ReadStream(t, c, "s", esdb.ReadStreamOptions{}, clienttest.Unlimited)); n != 10 {
		t.Errorf("the stream shows %d events, want 10", n)
	}
	if _, err := eventserver.Restore(t.Context(), backup, data); err == nil {
		t.Error("restored over a data directory")
	}
	r, err := eventserver.Restore(t.Context(), backup, restored)
	if err != nil || r.Events != 53 {
		t.Fatalf("%+v %v", r, err)
	}
	s2 := start(t, func(cfg *eventserver.Config) { cfg.Dir = restored })
	if s2.Incarnation() == s.Incarnation() || s2.Incarnation() != r.Incarnation {
		t.Error("the restored store has no incarnation of its own")
	}
	c2 := connect(t, s2)
	if n := len(clienttest.ReadAll(t, c2, esdb.ReadAllOptions{}, clienttest.Unlimited)); n != 53 {
		t.Errorf("the restored store has %d events, want 53", n)
	}
	// A subscriber with a checkpoint of the old history sees where the new one begins.
	last := clienttest.ReadStream(t, c2, "$incarnation", esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1)
	if last[0].Event.EventNumber != 1 {
		t.Errorf("the restored incarnation is event %d", last[0].Event.EventNumber)
	}
	if err := s2.Close(); err != nil {
		t.Fatal(err)
	}
	if r2, err := eventserver.Verify(t.Context(), restored); err != nil || r2 != r {
		t.Errorf("offline: %+v %v, want %+v", r2, err, r)
	}
	if _, err := eventserver.Verify(t.Context(), filepath.Join(dir, "absent")); err == nil {
		t.Error("an absent directory was verified")
	}
}
