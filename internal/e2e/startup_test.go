package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// A process that answers queries is ready when its read models show all that the log had when it started: the first answer after
// /readyz turns green has every order. What it still lacks is shown by /startupz and on the terminal.
func TestReadyOnlyWhenReadModelsHaveReachedTheHead(t *testing.T) {
	t.Parallel()
	roles := func(names ...string) string { return strings.Join(names, ",") }
	servers := testenv.Start(t, testenv.Options{
		Roles: roles(app.RoleEventStore, app.RoleKafka, app.RolePostgres, app.RoleSimulator), Args: testenv.AnyPorts(),
	})
	var at app.Addresses
	servers.Addresses(&at)
	start := func(names string, notReady bool) *testenv.Process {
		return testenv.Start(t, testenv.Options{Roles: names, NotReady: notReady, Args: []string{
			"--eventstore", at.EventStore, "--kafka", at.Kafka, "--postgres", at.Postgres, "--payment-provider", at.PaymentProvider,
			"--secrets", servers.DataDir + "/secrets",
		}})
	}
	everything := roles(app.RoleRelay, app.RoleProjections, app.RoleSagas, app.RoleReactors, app.RoleCommandAPI, app.RoleQueryAPI, app.RoleGateway)
	first := start(everything, false)
	shop := first.Client()
	shop.Post(t, http.StatusCreated, "/v1/products", "p", `{"sku":"MUG","name":"Mug","prices":{"GBP":100}}`)
	first.Stop()

	// Events come while no projection runs.
	half := start(roles(app.RoleRelay, app.RoleCommandAPI), false)
	half.Client().Post(t, http.StatusCreated, "/v1/products", "p2", `{"sku":"MUG-2","name":"Mug","prices":{"GBP":100}}`)
	half.Stop()

	release := hold(t, at.Postgres)
	p := start(everything, true)
	said := waitFor(t, p, func(all map[string]string, status int) bool {
		others := true
		for name, why := range all {
			others = others && (why == "" || name == app.RoleProjections)
		}
		return status != 0 && others && strings.Contains(all[app.RoleProjections], "catching up with the log")
	})
	t.Logf("while it catches up: %s", said[app.RoleProjections])
	if status, _ := asked(t, p, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz is %d while a read model lacks events", status)
	}
	if status, _ := asked(t, p, "/startupz"); status != http.StatusServiceUnavailable {
		t.Errorf("/startupz is %d while a read model lacks events", status)
	}
	if _, ok := p.Says(0, time.Minute, func(line string) bool { return strings.Contains(line, "projections: start: catching up") }); !ok {
		t.Error("the terminal does not say what is waited for")
	}
	release()
	p.Ready()
	if a := p.Client().Get(t, "/v1/products/MUG-2"); a.Status != http.StatusOK {
		t.Errorf("ready, and the product is not shown: %d %s", a.Status, a.Body)
	}
}

// holding makes the common transaction of the read models wait, whenever it moves a checkpoint, for a lock that the test holds.
const holding = `
	create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(42); return new; end $$;
	create trigger hold before update on daybook.projection_group for each row when (old.position <> new.position) execute function hold();
	select pg_advisory_lock(42)`

// hold keeps every checkpoint of read models from moving until release is called.
func hold(t *testing.T, address string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), holding); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// asked gives the status of a path of the admin listener, and what is wrong with each reporter.
func asked(t *testing.T, p *testenv.Process, path string) (status int, all map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+path+"?verbose", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil // it does not listen yet
	}
	defer func() { _ = res.Body.Close() }()
	var said struct {
		Checks []struct{ Name, Error string }
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	all = map[string]string{}
	for _, c := range said.Checks {
		all[c.Name] = c.Error
	}
	return res.StatusCode, all
}

func waitFor(t *testing.T, p *testenv.Process, ok func(all map[string]string, status int) bool) map[string]string {
	t.Helper()
	var all map[string]string
	for began := time.Now(); time.Since(began) < 60*time.Second; {
		var status int
		if status, all = asked(t, p, "/readyz"); ok(all, status) {
			return all
		}
	}
	t.Fatalf("waited in vain; the health is %v", all)
	return nil
}
