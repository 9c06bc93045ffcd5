package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/kit/es"
)

// A program states what it may write before it writes, and an older one on newer data refuses to start, whatever its roles, and
// says which version is needed. A newer one on older data starts, and says which read models it builds anew.
func TestOlderProgramIsRefused(t *testing.T) {
	t.Parallel()
	versions := es.StreamID{Category: "deployment", Key: "versions"}
	p := testenv.Start(t, testenv.Options{Args: testenv.AnyPorts()})
	dir := p.DataDir
	p.Client().Post(t, 201, "/v1/products", "mug", `{"sku":"MUG","name":"Mug","prices":{"GBP":1}}`)
	store := eventStore(t, p)
	stated := 0
	for r, err := range store.Read(t.Context(), versions, 0) {
		var v deployment.VersionsRaised
		if err != nil || json.Unmarshal(r.Data, &v) != nil || v.Events["order.placed"] != 1 || v.Sagas["placement"] != 1 {
			t.Errorf("stated: %s, %v", r.Data, err)
		}
		stated++
	}
	if stated != 1 {
		t.Errorf("%d statements of one program", stated)
	}
	// A read model of an older version, which the next start replaces.
	db := database(t, p)
	for _, sql := range []string{
		`update daybook.projection_build set version = version - 1 where projection in ('sales', 'products')`,
		`insert into daybook.projection_build (projection, version, schema_name, partitions, incarnation, filter, fingerprint)
			select 'sales', 99, 'sales_later', partitions, incarnation, filter, fingerprint from daybook.projection_build where projection = 'sales'`,
	} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	p.Stop()
	// Without projections nothing replaces them.
	p = testenv.Start(t, testenv.Options{DataDir: dir, Roles: "eventstore,kafka,postgres,simulator,query-api", Args: testenv.AnyPorts()})
	for end := time.Now().Add(time.Minute); !strings.Contains(p.Output(), "Ready, 2 read models rebuilding, after"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("says:\n%s", p.Output())
		}
	}
	p.Stop()
	p = testenv.Start(t, testenv.Options{DataDir: dir, Args: testenv.AnyPorts()})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		a, err := p.Client().Do(t.Context(), http.MethodGet, "/v1/products/MUG?min_position=1", "")
		if err == nil && a.Status == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s %v", a.Status, a.Body, err)
		}
	}

	// A newer program's read model serves.
	db = database(t, p)
	if _, err := db.Exec(t.Context(), `update daybook.projection_pointer set build = (select id from daybook.projection_build where version = 99) where projection = 'sales'`); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	olderRefused(t, dir, "read model sales is served by version 99")
	if out, errs, err := testenv.Run(t, "recover", "--yes", "--read-models", "--data-dir", dir); err != nil {
		t.Fatalf("%v %s %s", err, out, errs)
	}
	p = testenv.Start(t, testenv.Options{DataDir: dir, Args: testenv.AnyPorts()})

	// A newer program has run.
	data, err := json.Marshal(deployment.VersionsRaised{Program: "7.1.0", Versions: deployment.Versions{
		Events: map[string]int{"order.placed": 2, "order.teleported": 1}, Sagas: map[string]int{"placement": 3},
	}})
	if err != nil {
		t.Fatal(err)
	}
	at := es.Expected(stated - 1)
	if _, err := eventStore(t, p).Append(t.Context(), versions, at, []es.Proposed{{ID: es.UUID(uuid.New()), Type: "deployment.versions_raised", Data: data, Meta: []byte(`{"schema":4}`)}}); err != nil {
		t.Fatal(err)
	}
	p.Client().Get(t, "/v1/products/MUG") // what runs goes on
	p.Stop()
	olderRefused(t, dir, "daybook 7.1.0 or a newer one is needed", "order.placed version 2 (up to 1 here)", "order.teleported version 1 (unknown here)",
		"saga placement version 3 (up to 1 here)")
	for _, command := range []string{"doctor", "recover"} {
		if _, errs, err := testenv.Run(t, command, "--data-dir", dir); err == nil || !strings.Contains(errs, "daybook 7.1.0") {
			t.Errorf("%s: %v %s", command, err, errs)
		}
	}
}

// olderRefused starts a process of each role, and one of all, on servers that run: none may start.
func olderRefused(t *testing.T, dir string, says ...string) {
	t.Helper()
	const servers = "eventstore,kafka,postgres,simulator"
	running := testenv.Start(t, testenv.Options{DataDir: dir, Roles: servers, Args: testenv.AnyPorts()})
	for _, roles := range []string{"relay", "projections", "sagas", "reactors", "command-api", "query-api", "relay,projections,sagas,reactors,command-api,query-api,gateway"} {
		_, errs, err := testenv.Run(t, "serve", "--data-dir", dir, "--roles", roles, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
		for _, want := range append(says, "docs/upgrading.md") {
			if err == nil || !strings.Contains(errs, want) {
				t.Errorf("%s: %v, and does not say %q:\n%s", roles, err, want, errs)
			}
		}
	}
	running.Stop()
}

// Every command that the page on upgrading names is one of the program, with the flags that it names.
func TestUpgradingNamesRealCommands(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/upgrading.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`daybook ([a-z]+(?: [a-z]+)?)([^`]*)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 5 {
		t.Fatalf("the page names %d commands", len(named))
	}
	flag := regexp.MustCompile(`--[a-z-]+`)
	for _, c := range named {
		if strings.Contains(c[0], "is needed") { // a refusal
			continue
		}
		args := strings.Fields(c[1])
		out, errs, err := testenv.Run(t, append(slices.Clone(args), "--help")...)
		if err != nil || !strings.Contains(out, "daybook "+c[1]) {
			t.Errorf("%s: %v %s %s", c[0], err, out, errs)
		}
		for _, f := range flag.FindAllString(c[2], -1) {
			if !strings.Contains(out, f) {
				t.Errorf("%s: there is no %s", c[0], f)
			}
		}
	}
}
