// Package recovering restores, loses and replaces the servers of a system, and makes them belong together again.
package recovering_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// Whichever of the servers is lost, restored to an older state, or another's: either the system starts as it is, or it refuses and names
// the command that makes it start. No order that the event store has is lost, and none is charged twice.
func TestRecover(t *testing.T) {
	i := trading(t)
	for _, c := range []struct {
		name                        string
		eventstore, postgres, kafka int // moments; -1: lost
		refusal                     string
		keyless                     []string
	}{
		{"event store lost its end", 0, 2, 2, "the event store has lost its end", nil},
		{"event store and Postgres older", 0, 1, 2, "the event store has lost its end", nil},
		{"event store and Kafka older", 1, 2, 0, "the event store has lost its end", nil},
		{"event store and Postgres as old", 1, 1, 2, "", nil},
		{"Postgres older", 2, 0, 2, "", ordersUntil(2)[2:]},
		{"Postgres oldest, event store older", 1, 0, 2, "", ordersUntil(1)[2:]},
		{"Postgres lost", 2, -1, 2, "", ordersUntil(2)},
		{"Kafka lost", 2, 2, -1, "", nil},
		{"Kafka older", 2, 2, 0, "", nil},
		{"Kafka and Postgres lost", 2, -1, -1, "", ordersUntil(2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := i.compose(t, c.eventstore, c.postgres, c.kafka)
			if c.refusal != "" {
				refuses(t, dir, c.refusal)
				out, err := recovers(t, dir, "--dry-run")
				if err != nil || !strings.Contains(out, c.refusal) {
					t.Errorf("dry run: %v\n%s", err, out)
				}
				for _, id := range ordersUntil(c.postgres)[2*(c.eventstore+1):] { // the embedded broker comes up empty
					if !strings.Contains(out, "order "+id+" is lost: order.placed") {
						t.Errorf("the loss of %s is not said:\n%s", id, out)
					}
				}
				if out, err := recovers(t, dir); err == nil || !strings.Contains(out, "--yes") {
					t.Errorf("without --yes: %v\n%s", err, out)
				}
				refuses(t, dir, c.refusal)
				if out, err := recovers(t, dir, "--yes"); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			if out, err := recovers(t, dir, "--yes"); err != nil || !strings.Contains(out, "nothing to do") {
				t.Errorf("%v\n%s", err, out)
			}
			whole(t, dir, ordersUntil(c.eventstore), c.keyless...)
		})
	}
	t.Run("restored from a backup", func(t *testing.T) { i.restored(t) })
	t.Run("killed", func(t *testing.T) { i.killed(t) })
	t.Run("of different installations", func(t *testing.T) { i.different(t) })
	t.Run("Kafka of others", func(t *testing.T) { i.kafka(t) })
	t.Run("another relay key", func(t *testing.T) { i.key(t) })
	t.Run("checkpoint ahead", func(t *testing.T) { i.ahead(t) })
	t.Run("while it runs", func(t *testing.T) { i.running(t) })
}

// restored: the event store comes back from its own backup, and is a history of its own.
func (i *installation) restored(t *testing.T) {
	t.Helper()
	dir := i.compose(t, -1, 2, 2)
	backup := filepath.Join(testenv.DataDir(t), "backup")
	for _, args := range [][]string{
		{"eventstore", "backup", "--data-dir", filepath.Join(i.at[0], "eventstore"), "--to", backup},
		{"eventstore", "restore", "--from", backup, "--data-dir", filepath.Join(dir, "eventstore")},
	} {
		if out, errs, err := testenv.Run(t, args...); err != nil {
			t.Fatalf("%v %s %s", err, out, errs)
		}
	}
	refuses(t, dir, "was restored from a backup")
	if out, err := recovers(t, dir, "--yes"); err != nil || !strings.Contains(out, "order order-2-b is lost") {
		t.Fatalf("%v\n%s", err, out)
	}
	whole(t, dir, ordersUntil(0))
}

// killed: a recovery that is killed anywhere is found unfinished, or done, also if that happens again and again.
func (i *installation) killed(t *testing.T) {
	t.Helper()
	dir := i.compose(t, 0, 2, 2)
	for _, at := range failpoint.Recovery() {
		refuses(t, dir, "the event store has lost its end")
		t.Setenv("DAYBOOK_FAILPOINT", string(at))
		if out, err := recovers(t, dir, "--yes"); err == nil {
			t.Fatalf("%s: not killed\n%s", at, out)
		}
		t.Setenv("DAYBOOK_FAILPOINT", "")
	}
	whole(t, dir, ordersUntil(0)) // the last one was after the commit
}

// different: Postgres was fed by another installation's event store. That is done only where it is stated.
func (i *installation) different(t *testing.T) {
	t.Helper()
	other := testenv.DataDir(t)
	start(t, other).Stop()
	dir := i.compose(t, 2, 2, 2)
	replace(t, dir, "eventstore", filepath.Join(other, "eventstore"))
	refuses(t, dir, "has nothing to do with this one", "connect the event store that belongs to this Postgres")
	if out, err := recovers(t, dir, "--yes"); err == nil || !strings.Contains(out, "--accept-other-store") {
		t.Fatalf("%v\n%s", err, out)
	}
	refuses(t, dir, "has nothing to do with this one")
	if out, err := recovers(t, dir, "--yes", "--accept-other-store"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := start(t, dir)
	if a := p.Client().Get(t, "/v1/orders"); !strings.Contains(string(a.Body), `"items":[]`) {
		t.Errorf("orders of another installation: %s", a.Body)
	}
	p.Stop()
}

// kafka: a broker that outlives the others holds what another installation signed, which says nothing, and events that the store has lost.
func (i *installation) kafka(t *testing.T) {
	t.Helper()
	broker := testenv.Start(t, testenv.Options{Roles: "kafka", Args: testenv.AnyPorts()})
	var at struct{ Kafka string }
	broker.Addresses(&at)
	with := append(testenv.AnyPorts(), "--kafka", at.Kafka)
	testenv.Start(t, testenv.Options{Args: with}).Stop() // another installation
	dir := i.compose(t, 0, 0, -1)
	placed := func() {
		t.Helper()
		p := testenv.Start(t, testenv.Options{DataDir: dir, Args: with})
		p.Client().Post(t, 201, "/v1/orders", "order-1-a", body("order-1-a"))
		comesTo(t, p.Client(), "order-1-a", "confirmed")
		p.Stop()
	}
	placed()
	replace(t, dir, "eventstore", filepath.Join(i.at[0], "eventstore"))
	replace(t, dir, "postgres", filepath.Join(i.at[0], "postgres"))
	_, errs, err := testenv.Run(t, append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, with...)...)
	if err == nil || !strings.Contains(errs, "holds event") || !strings.Contains(errs, "run `daybook recover`") {
		t.Fatalf("serve ends with %v:\n%s", err, errs)
	}
	out, err := recovers(t, dir, "--yes", "--kafka", at.Kafka)
	if err != nil || !strings.Contains(out, "order order-1-a is lost: order.placed") {
		t.Fatalf("%v\n%s", err, out)
	}
	placed()
	whole(t, dir, append(ordersUntil(0), "order-1-a"))
}

// key: the relay's key is another one. It can be changed, and if it is lost everything is signed with the new one.
func (i *installation) key(t *testing.T) {
	t.Helper()
	dir := i.compose(t, 2, 2, 2)
	file := filepath.Join(dir, "secrets", "relay.key")
	former, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32)) + "\n")
	put := func(lines ...[]byte) {
		t.Helper()
		if err := os.WriteFile(file, bytes.Join(lines, nil), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() {
		t.Helper()
		_, errs, err := testenv.Run(t, append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, testenv.AnyPorts()...)...)
		for _, want := range []string{"the relay key", "put the former key back into relay.key", "`daybook recover`"} {
			if err == nil || !strings.Contains(errs, want) {
				t.Fatalf("serve ends with %v and does not say %q:\n%s", err, want, errs)
			}
		}
	}
	put(other)
	refused()
	put(former, other)
	start(t, dir).Stop()
	put(other, former)
	start(t, dir).Stop()
	put(other)
	start(t, dir).Stop()
	if err := os.Remove(file); err != nil { // a new one is made
		t.Fatal(err)
	}
	refused()
	out, err := recovers(t, dir, "--dry-run")
	if err != nil || !strings.Contains(out, "relay key") || !strings.Contains(out, "publishes the whole log again") {
		t.Fatalf("dry run: %v\n%s", err, out)
	}
	refused()
	if out, err := recovers(t, dir, "--yes"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole(t, dir, ordersUntil(2))
}

// ahead: a checkpoint beyond the end of the log passes over everything that comes.
func (i *installation) ahead(t *testing.T) {
	t.Helper()
	for _, c := range []struct {
		says []string
		sql  []string
	}{
		{[]string{"read model", "saga", "reactor"}, []string{
			`update daybook.projection_group set position = 9000000000000000000 where part = 3`,
			`update daybook.saga_checkpoint set position = 9000000000000000000 where partition = 3`,
			`update daybook.reactor_checkpoint set position = 9000000000000000000 where partition = 3`,
		}},
		{[]string{"relay"}, []string{`update daybook.relay set position = 9000000000000000000`}},
	} {
		dir := i.compose(t, 2, 2, 2)
		execute(t, dir, c.sql...)
		refuses(t, dir, append(c.says, "9000000000000000000")...)
		if out, err := recovers(t, dir, "--yes"); err != nil || !strings.Contains(out, "9000000000000000000") {
			t.Fatalf("%s: %v\n%s", c.says, err, out)
		}
		whole(t, dir, ordersUntil(2))
	}
}

// execute runs statements in the Postgres of a data directory.
func execute(t *testing.T, dir string, statements ...string) {
	t.Helper()
	p := testenv.Start(t, testenv.Options{DataDir: dir, Roles: "postgres", Args: testenv.AnyPorts()})
	var at struct {
		Postgres string `json:"postgres"`
	}
	p.Addresses(&at)
	conn, err := pgx.Connect(t.Context(), at.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range statements {
		if tag, err := conn.Exec(t.Context(), sql); err != nil || tag.RowsAffected() == 0 {
			t.Fatal(tag, err)
		}
	}
	_ = conn.Close(context.WithoutCancel(t.Context()))
	p.Stop()
}

// running: nothing is recovered under a system that runs.
func (i *installation) running(t *testing.T) {
	t.Helper()
	dir := i.compose(t, 2, 2, 2)
	p := start(t, dir)
	if out, err := recovers(t, dir, "--yes", "--read-models"); err == nil || !strings.Contains(out, "stop it first") {
		t.Errorf("beside a whole system: %v\n%s", err, out)
	}
	p.Stop()
	servers := testenv.Start(t, testenv.Options{DataDir: dir, Roles: "eventstore,kafka,postgres,simulator", Args: testenv.AnyPorts()})
	models := testenv.Start(t, testenv.Options{DataDir: dir, Roles: "projections"})
	if out, err := recovers(t, dir, "--yes", "--read-models"); err == nil || !strings.Contains(out, "stop them first") {
		t.Errorf("beside read models: %v\n%s", err, out)
	}
	models.Stop()
	if out, err := recovers(t, dir, "--yes", "--read-models"); err != nil || !strings.Contains(out, "built again") {
		t.Errorf("with servers alone: %v\n%s", err, out)
	}
	servers.Stop()
	whole(t, dir, ordersUntil(2))
}
