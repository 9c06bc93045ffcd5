package recovering_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	servers = "eventstore,kafka,postgres,simulator"
	others  = "relay,projections,sagas,reactors,command-api,query-api,gateway"
)

// Two programs of which one is a version further. The older one, while it runs beside the newer one, says what it cannot read and goes
// on with the rest. When the newer one has run, the older one does not start and changes nothing, and the newer one goes on.
func TestUpgradingAndRollingBack(t *testing.T) {
	t.Parallel()
	newer, dir := newerProgram(t), testenv.DataDir(t)
	older := start(t, dir)
	c := older.Client()
	c.Post(t, 201, "/v1/products", "mug", `{"sku":"MUG","name":"Mug","prices":{"GBP":1000}}`)
	c.Post(t, 201, "/v1/stock/MUG/receipts", "mugs", `{"id":"R1","quantity":100}`)

	begun := testenv.Start(t, testenv.Options{DataDir: dir, Program: newer, Roles: "command-api"})
	apart := orderApart(t, es.StreamID{Category: "stock", Key: "MUG"})
	begun.Client().Post(t, 201, "/v1/orders", apart, body(apart))
	besideNewer(t, older, apart)
	begun.Stop()
	older.Stop()

	const needed = "daybook 9.9.0 or a newer one is needed"
	s := testenv.Start(t, testenv.Options{DataDir: dir, Roles: servers, Args: testenv.AnyPorts()})
	before := contents(t, s)
	for _, args := range [][]string{
		{"serve", "--roles", others, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, {"doctor"},
	} {
		olderIs(t, needed, append(args, "--data-dir", dir)...)
	}
	s.Stop()
	olderIs(t, needed, append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, testenv.AnyPorts()...)...)
	olderIs(t, needed, "recover", "--yes", "--read-models", "--data-dir", dir)

	s = testenv.Start(t, testenv.Options{DataDir: dir, Roles: servers, Args: testenv.AnyPorts()})
	if after := contents(t, s); !maps.Equal(before, after) {
		t.Errorf("a program that did not start changed something:\nbefore %v\nafter  %v", before, after)
	}
	p := testenv.Start(t, testenv.Options{DataDir: dir, Program: newer, Roles: others})
	comesTo(t, p.Client(), apart, "confirmed")
	if out, errs, err := testenv.RunOther(t, newer, "doctor", "--data-dir", dir); err != nil {
		t.Errorf("the newer program's doctor: %v\n%s%s", err, out, errs)
	}
	p.Stop()
	s.Stop()
}

// besideNewer is what the older program does with an order of the newer one.
func besideNewer(t *testing.T, older *testenv.Process, order string) {
	t.Helper()
	const is = "order.placed version 2"
	c := older.Client()
	a, err := c.Do(t.Context(), http.MethodPost, "/v1/orders/"+order+"/cancel", `{}`, "Idempotency-Key", "cancel")
	if err != nil || a.Status != http.StatusServiceUnavailable || a.Object(t)["code"] != "newer_version" || !strings.Contains(string(a.Body), is) {
		t.Errorf("cancelling an order of a newer program: %d %s %v", a.Status, a.Body, err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		status, text := readiness(t, older)
		if status == http.StatusServiceUnavailable && strings.Contains(text, is) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the older program does not say that it cannot read %s: %d\n%s", is, status, text)
		}
	}
	other := orderApart(t, es.StreamID{Category: "stock", Key: "MUG"}, es.StreamID{Category: "order", Key: order})
	c.Post(t, 201, "/v1/orders", other, body(other))
	comesTo(t, c, other, "confirmed")
}

// orderApart is the id of an order in another partition than all of some streams.
func orderApart(t *testing.T, from ...es.StreamID) string {
	t.Helper()
	taken := map[int]bool{}
	for _, s := range from {
		taken[topic.PartitionOf(s.Partition(), topic.DefaultPartitions)] = true
	}
	for i := 0; ; i++ {
		id := fmt.Sprint("apart-", i)
		if !taken[topic.PartitionOf(es.StreamID{Category: "order", Key: id}.Partition(), topic.DefaultPartitions)] {
			return id
		}
	}
}

func readiness(t *testing.T, p *testenv.Process) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Admin+"/readyz?verbose", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// olderIs fails the test unless a command of the older program ends with an error that says what is needed and why.
func olderIs(t *testing.T, needed string, args ...string) {
	t.Helper()
	_, errs, err := testenv.Run(t, args...)
	for _, want := range []string{needed, "order.placed version 2 (up to 1 here)", "docs/upgrading.md"} {
		if err == nil || !strings.Contains(errs, want) {
			t.Errorf("%v: %v, and does not say %q:\n%s", args, err, want, errs)
		}
	}
}

// contents is where the log ends, and a digest of every table.
func contents(t *testing.T, p *testenv.Process) map[string]string {
	t.Helper()
	var at struct {
		EventStore string `json:"eventstore"`
		Postgres   string `json:"postgres"`
	}
	p.Addresses(&at)
	connection, err := secrets.WithLogin(at.EventStore)
	if err != nil {
		t.Fatal(err)
	}
	store, err := esclient.Open(t.Context(), esclient.Config{ConnectionString: connection})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	end, err := store.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db, err := pgx.Connect(t.Context(), at.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }()
	rows, err := db.Query(t.Context(), `select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 10 {
		t.Fatalf("tables: %v %v", tables, err)
	}
	all := map[string]string{"log": strconv.FormatUint(end, 10)}
	for _, table := range tables {
		var digest string
		if err := db.QueryRow(t.Context(), `select count(*) || ' ' || coalesce(md5(string_agg(r::text, '|' order by r::text)), '') from `+table+` r`).Scan(&digest); err != nil {
			t.Fatal(err)
		}
		all[table] = digest
	}
	return all
}
