package connections_test

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
	"github.com/daybook-dev/daybook/internal/testenv"
)

const (
	redWithin   = 2 * time.Minute // these find what never turns; a busy machine is late by much
	greenWithin = time.Minute
	// settled is how long a reporter is well before its outage has ended in the log, and some.
	settled = 3 * time.Second
)

// outage is something that fails, and the reporters that must say so.
type outage struct {
	what string
	fail func() (heal func())
	red  []string
	// passing: it may be over before anybody has looked.
	passing bool
	again   bool             // what fails may work in between, and be said twice
	of      *testenv.Process // whose reporters
}

// Every reporter of a process turns red by what it depends on, and green by itself. The log stays as it is: nothing may need a new
// event. The log of the process says each outage once for each reporter when it begins and once when it ends.
func TestEveryReporterTurnsRedAndGreenByItself(t *testing.T) {
	t.Parallel()
	quiet := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	broker := testenv.Address(t)
	kafka := newLink(t, quiet, "all", "Kafka", broker)
	servers := testenv.Start(t, testenv.Options{
		Roles: strings.Join([]string{app.RoleEventStore, app.RoleKafka, app.RolePostgres, app.RoleSimulator}, ","),
		Args:  append(testenv.AnyPorts(), "--kafka-listen", broker, "--kafka-advertise", kafka.addr()),
	})
	var at app.Addresses
	servers.Addresses(&at)
	through := func(name, address string) (*link, string) {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		l := newLink(t, quiet, "all", name, u.Host)
		u.Host = l.addr()
		return l, u.String()
	}
	store, storeURL := through("event store", at.EventStore)
	postgres, postgresURL := through("Postgres", at.Postgres)
	provider, providerURL := through("provider", at.PaymentProvider)
	p := testenv.Start(t, testenv.Options{
		Roles: strings.Join([]string{
			app.RoleRelay, app.RoleProjections, app.RoleSagas, app.RoleReactors, app.RoleCommandAPI, app.RoleQueryAPI, app.RoleGateway,
		}, ","),
		Args: []string{
			"--eventstore", storeURL, "--postgres", postgresURL, "--kafka", kafka.addr(), "--payment-provider", providerURL,
			"--secrets", servers.DataDir + "/secrets",
		},
	})

	commands, commandsURL := through("command API", p.API)
	queries, queriesURL := through("query API", p.API)
	front := testenv.Start(t, testenv.Options{
		Roles: app.RoleGateway,
		Args: []string{
			"--eventstore", at.EventStore, "--postgres", at.Postgres, "--kafka", kafka.addr(), "--secrets", servers.DataDir + "/secrets",
			"--command-api", commandsURL, "--query-api", queriesURL,
		},
	})

	engines := []string{app.RoleProjections, app.RoleSagas, app.RoleReactors}
	ofPostgres := append([]string{"postgres-client", "keys", "read-models", "postgres-listener", app.RoleRelay}, engines...)
	by := func(l *link, f fault) func() func() { return func() func() { return l.suffer(t, f) } }
	outages := []outage{
		{what: "Postgres is cut off", fail: by(postgres, cut), red: ofPostgres},
		{what: "Postgres is half-open", fail: by(postgres, halfOpen), red: ofPostgres},
		{what: "the backends of Postgres are terminated", fail: func() func() { terminate(t, at.Postgres); return func() {} }, passing: true},
		{what: "Postgres has no connection left", fail: func() func() { return exhaust(t, at.Postgres) }, red: ofPostgres, again: true},
		{what: "the event store is cut off", fail: by(store, cut), red: []string{"eventstore-client", app.RoleRelay}},
		{what: "the event store is half-open", fail: by(store, halfOpen), red: []string{"eventstore-client", app.RoleRelay}},
		{what: "Kafka is cut off", fail: by(kafka, cut), red: append([]string{app.RoleRelay}, engines...)},
		{what: "Kafka is half-open", fail: by(kafka, halfOpen), red: append([]string{app.RoleRelay}, engines...)},
		{what: "a checkpoint is ahead of the log", fail: func() func() { return ahead(t, at.Postgres) }, red: []string{"checkpoints"}},
		{what: "the payment provider is cut off", fail: by(provider, cut), red: []string{"payment-provider"}},
		{what: "the payment provider is half-open", fail: by(provider, halfOpen), red: []string{"payment-provider"}},
		{what: "the command API is cut off", fail: by(commands, cut), red: []string{app.RoleGateway}, of: front},
		{what: "the query API is half-open", fail: by(queries, halfOpen), red: []string{app.RoleGateway}, of: front},
	}
	for _, each := range []*testenv.Process{p, front} {
		untried := maps.Clone(poll(t, each))
		for _, o := range outages {
			for _, name := range o.red {
				delete(untried, name)
			}
		}
		if len(untried) > 0 {
			t.Errorf("reporters without a case here: %v", slices.Sorted(maps.Keys(untried)))
		}
	}
	logged := map[string]bool{} // names of reporters of which the log has been read
	for _, o := range outages {
		p := cmp.Or(o.of, p)
		green(t, p, greenWithin) // also those that the last outage was not about
		said := len(p.Output())
		heal := o.fail()
		began, seen := time.Now(), map[string]time.Duration{}
		for !o.passing && len(seen) < len(o.red) && time.Since(began) < redWithin {
			for name, why := range poll(t, p) {
				if _, known := seen[name]; !known && why != "" && slices.Contains(o.red, name) {
					seen[name] = time.Since(began).Round(10 * time.Millisecond)
				}
			}
		}
		for _, name := range o.red {
			if _, ok := seen[name]; !ok {
				t.Errorf("%s: %s did not turn red within %s", o.what, name, redWithin)
			}
		}
		heal()
		took := green(t, p, greenWithin)
		for why := lasting(t, p); why != ""; why = lasting(t, p) {
			if !o.passing || time.Since(began) > greenWithin {
				t.Errorf("%s: %s", o.what, why)
				break
			}
			took = green(t, p, greenWithin) // a client notices when it uses its connection next, which may be after the first look
		}
		lines := loud(p.Output()[said:])
		t.Logf("%-42s red %v, green after %s, %d lines at WARN or above", o.what, seen, took.Round(10*time.Millisecond), len(lines))
		most := len(poll(t, p))
		if o.again {
			most *= 2
		}
		if len(lines) > most {
			t.Errorf("%s: %d lines, at most %d are wanted:\n%s", o.what, len(lines), most, strings.Join(lines, "\n"))
		}
		for _, name := range o.red {
			if logged[name] {
				continue
			}
			logged[name] = true // here or before: an outage that begins less than a minute after another one is counted
			for _, what := range []string{" is failing", " works again"} {
				if _, ok := p.Says(0, time.Minute, func(line string) bool { return strings.Contains(line, `"`+name+what) }); !ok {
					t.Errorf("%s: the log does not say %q", o.what, name+what)
				}
			}
		}
	}
}

// A process of embedded servers says which of them cannot do its work, and that it can again.
func TestEmbeddedServersTurnRedAndGreenByThemselves(t *testing.T) {
	t.Parallel()
	disk := diskspacetest.Mount(t, 400<<20)
	p := testenv.Start(t, testenv.Options{
		DataDir: disk + "/data", Args: testenv.AnyPorts(),
		Roles: strings.Join([]string{app.RoleEventStore, app.RoleKafka, app.RolePostgres, app.RoleSimulator}, ","),
	})
	all := poll(t, p)
	said := len(p.Output())
	red := map[string]bool{}
	for began := time.Now(); len(red) < len(all) && time.Since(began) < redWithin; {
		diskspacetest.Fill(t, disk, 0) // also what a reserve gave back
		for name, why := range poll(t, p) {
			red[name] = red[name] || why != ""
		}
		maps.DeleteFunc(red, func(_ string, is bool) bool { return !is })
	}
	if len(red) < len(all) {
		t.Errorf("only %v of %v turned red", slices.Sorted(maps.Keys(red)), slices.Sorted(maps.Keys(all)))
	}
	diskspacetest.Free(t, disk)
	t.Logf("green after %s", green(t, p, greenWithin))
	for name := range all {
		if _, ok := p.Says(said, time.Minute, func(line string) bool { return strings.Contains(line, `"`+name+" works again") }); !ok {
			t.Errorf("the log does not say that %s works again", name)
		}
	}
}

// poll asks /readyz?verbose for what is wrong with each reporter, "" if nothing is.
func poll(t *testing.T, p *testenv.Process) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+"/readyz?verbose", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var said struct {
		Ready  bool
		Checks []struct {
			Name, Error string
			OK          bool
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	out, ready := map[string]string{}, true
	for _, c := range said.Checks {
		ready = ready && c.OK
		if out[c.Name] = c.Error; !c.OK && c.Error == "" {
			t.Errorf("%s is not well and does not say why", c.Name)
		}
	}
	if said.Ready != ready || (res.StatusCode == http.StatusOK) != ready {
		t.Errorf("status %d, ready %t, checks %v", res.StatusCode, said.Ready, out)
	}
	return out
}

// green waits until every reporter is well.
func green(t *testing.T, p *testenv.Process, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		said := poll(t, p)
		maps.DeleteFunc(said, func(_, why string) bool { return why == "" })
		if len(said) == 0 {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("still red after %s: %v", within, said)
		}
	}
}

// lasting tells which reporter turns red again by itself; "" none.
func lasting(t *testing.T, p *testenv.Process) string {
	t.Helper()
	for began := time.Now(); time.Since(began) < settled; {
		for name, why := range poll(t, p) {
			if why != "" {
				return name + " turned red again: " + why
			}
		}
	}
	return ""
}

// loud gives the lines of a JSON log at WARN and above.
func loud(out string) (lines []string) {
	for line := range strings.Lines(out) {
		if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// ahead moves a checkpoint beyond the end of the log until it is put back.
func ahead(t *testing.T, address string) (heal func()) {
	t.Helper()
	move := func(position int64) (was int64) {
		conn := connect(t, address)
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		const sql = `update daybook.saga_checkpoint c set position = $1 from (select position from daybook.saga_checkpoint where name = 'cancellation' and partition = 0) before
			where c.name = 'cancellation' and c.partition = 0 returning before.position`
		if err := conn.QueryRow(t.Context(), sql, position).Scan(&was); err != nil {
			t.Fatal(err)
		}
		return was
	}
	was := move(9_000_000_000_000_000_000)
	return func() { move(was) }
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

const terminateAll = `select count(pg_terminate_backend(pid)) from pg_stat_activity
	where datname = current_database() and usename = current_user and pid <> pg_backend_pid() and application_name <> 'test'`

func terminate(t *testing.T, address string) {
	t.Helper()
	var n int
	if err := connect(t, address).QueryRow(t.Context(), terminateAll).Scan(&n); err != nil || n == 0 {
		t.Fatalf("%d backends terminated: %v", n, err)
	}
}

// exhaust takes every connection that Postgres has.
func exhaust(t *testing.T, address string) (heal func()) {
	t.Helper()
	first := connect(t, address)
	if _, err := first.Exec(t.Context(), "set application_name = 'test'"); err != nil {
		t.Fatal(err)
	}
	var all []*pgx.Conn
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = "test"
	for refused := 0; refused < 20; { // those that are terminated come back meanwhile
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err == nil {
			all = append(all, conn)
			continue
		}
		refused++
		if _, err := first.Exec(t.Context(), terminateAll); err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d connections were taken", len(all))
	}
	return func() {
		for _, conn := range append(all, first) {
			_ = conn.Close(context.Background())
		}
	}
}
