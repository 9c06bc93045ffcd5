package connections_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/market"
)

const (
	heldFor = 2 * time.Second // each group of tables at least
	goOnFor = 2 * time.Minute // what needs none of them may take, on a busy machine; none of it waits for the release
)

// lockedTables is a group that another session locks at once.
type lockedTables struct {
	tables []string // as named by tablesOf
	red    []string // reporters that may say so; the others stay well
	held   []string // queries that may wait, asked meanwhile by many
	goOn   func(b *beside, order string)
}

// Every table of the database is locked by another session once, with others that the same parts need, while orders are placed. What
// needs none of them goes on, /readyz names no other part, and afterwards all is as if nothing had been.
func TestALockedTableHoldsOnlyThoseWhoNeedIt(t *testing.T) {
	t.Parallel()
	p := testenv.Start(t, testenv.Options{Args: testenv.AnyPorts()})
	var at app.Addresses
	p.Addresses(&at)
	b := &beside{t: t, shop: market.New(strings.TrimPrefix(p.API, "http://")), rows: connect(t, at.Postgres)}
	if err := errors.Join(b.shop.Stocked(t.Context(), "PLENTY", 1_000_000), b.shop.Stocked(t.Context(), "MUG", 1_000)); err != nil {
		t.Fatal(err)
	}
	b.place("before")
	b.ended("before")
	groups := []lockedTables{
		{
			tables: []string{"customers", "order_list", "order_events", "products", "sales", "sales_by_product", "stock_levels"},
			red:    []string{app.RoleProjections},
			held:   []string{"/v1/stock/MUG", "/v1/products", "/v1/customers", "/v1/orders", "/v1/orders/before/timeline"},
			goOn:   func(b *beside, order string) { b.confirmed(order); b.receive(order); b.get("/v1/orders/before") },
		},
		{
			tables: []string{"order_details"},
			red:    []string{app.RoleProjections},
			held:   []string{"/v1/orders/before"},
			goOn: func(b *beside, order string) {
				b.place(order)
				b.ended(order)
				b.receive(order)
				b.get("/v1/stock/MUG")
				b.get("/v1/orders")
			},
		},
		{
			tables: []string{"daybook.saga_checkpoint", "daybook.saga_instance"},
			red:    []string{app.RoleSagas, "checkpoints"},
			goOn: func(b *beside, order string) {
				b.shown(b.place(order), order)
				b.receive(order)
				b.get("/v1/stock/MUG")
			},
		},
		{
			tables: []string{"daybook.reactor_checkpoint", "daybook.reactor_waiting"},
			red:    []string{app.RoleReactors, app.RoleSagas, "checkpoints"}, // the sagas' clock asks what is overdue
			goOn: func(b *beside, order string) {
				b.shown(b.place(order), order)
				b.receive(order)
				b.get("/v1/stock/MUG")
			},
		},
		{
			tables: []string{"daybook.uptime", "daybook.outage", "daybook.fingerprint", "daybook.migration"},
			red:    []string{app.RoleSagas}, // their clock
			goOn:   func(b *beside, order string) { b.confirmed(order); b.receive(order); b.get("/v1/stock/MUG") },
		},
		{
			tables: []string{"daybook.personal_key", "daybook.personal_key_former"},
			red:    []string{"keys", app.RoleReactors},
			goOn:   func(b *beside, order string) { b.receive(order); b.get("/v1/stock/MUG"); b.get("/v1/products") },
		},
		{
			tables: []string{"daybook.relay"},
			red:    []string{app.RoleRelay, app.RoleProjections, app.RoleSagas, app.RoleReactors, "read-models", "checkpoints"},
			held:   []string{"/v1/orders/before", "/v1/stock/MUG"},
			goOn:   func(b *beside, order string) { b.place(order); b.receive(order) },
		},
		{
			tables: []string{"daybook.projection_build", "daybook.projection_checkpoint", "daybook.projection_group", "daybook.projection_parked", "daybook.projection_pointer"},
			red:    []string{app.RoleProjections, "read-models", "checkpoints"},
			held:   []string{"/v1/orders/before", "/v1/stock/MUG"},
			goOn:   func(b *beside, order string) { b.place(order); b.ended(order); b.receive(order) },
		},
	}
	left := tablesOf(t, b.rows)
	for i, g := range groups {
		var mine []string
		for _, table := range g.tables {
			if len(left[table]) == 0 {
				t.Errorf("there is no table %s, or it was locked before", table)
			}
			mine = append(mine, left[table]...)
			delete(left, table)
		}
		release := lockTables(t, at.Postgres, mine)
		began, asked := time.Now(), ask(t, b.shop.Client, g.held)
		g.goOn(b, "order-"+string(rune('a'+i)))
		went := time.Since(began)
		onlyRed(t, p, g, began)
		release()
		asked.Wait()
		t.Logf("%v: went on within %s, green after %s", g.tables, went.Round(time.Millisecond), green(t, p, greenWithin).Round(time.Millisecond))
	}
	for table := range left {
		t.Errorf("%s is in no group", table)
	}
	b.shop.Ended(t, market.EndWithin)
	b.shop.StillTrue(t)
	market.Examine(t, "--data-dir", p.DataDir)
}

// onlyRed waits until the tables have been held for a while and only the parts concerned are red: a busy machine may make
// another one late for a moment.
func onlyRed(t *testing.T, p *testenv.Process, g lockedTables, began time.Time) {
	t.Helper()
	for {
		said := poll(t, p)
		maps.DeleteFunc(said, func(name, why string) bool { return why == "" || slices.Contains(g.red, name) })
		if len(said) == 0 && time.Since(began) >= heldFor {
			return
		}
		if time.Since(began) > goOnFor {
			t.Fatalf("%v are locked, and others stay red: %v", g.tables, said)
		}
	}
}

// beside is what goes on beside locked tables.
type beside struct {
	t    *testing.T
	shop *market.Market
	rows *pgx.Conn
}

func (b *beside) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.t.Context(), goOnFor)
}

// place places an order that must be confirmed in the end.
func (b *beside) place(id string, headers ...string) testenv.Answer {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	b.shop.Must(id, "confirmed")
	a, err := b.shop.Client.Insist(ctx, "/v1/orders", "place-"+id, testenv.Order(id, "tok_approve", testenv.Line("PLENTY", 1)), headers...)
	if err != nil || a.Status != http.StatusCreated {
		b.t.Fatalf("placing %s: %d %s: %v", id, a.Status, a.Body, err)
	}
	return a
}

// confirmed places an order and waits for its end, as its buyer would.
func (b *beside) confirmed(id string) {
	b.t.Helper()
	if a := b.place(id, "Prefer", "wait=10"); !strings.Contains(string(a.Body), `"confirmed"`) {
		b.shown(a, id) // it took longer
		b.until("GET /v1/orders/"+id, func() bool { return b.shop.Status(b.t.Context(), id) == "confirmed" })
	}
}

// shown waits until an order that was placed is visible.
func (b *beside) shown(placed testenv.Answer, id string) {
	b.t.Helper()
	b.get("/v1/orders/" + id + "?min_position=" + placed.Position())
}

// ended waits until the sagas have nothing to do for an order: its read model may be locked.
func (b *beside) ended(id string) {
	b.t.Helper()
	b.until("end of "+id, func() (over bool) {
		const sql = `select coalesce(bool_and(phase not in ('doing', 'undoing')), false) from daybook.saga_instance where key = $1`
		if err := b.rows.QueryRow(b.t.Context(), sql, id).Scan(&over); err != nil {
			b.t.Fatal(err)
		}
		return over
	})
}

func (b *beside) receive(id string) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	if err := b.shop.Command(ctx, "/v1/stock/MUG/receipts", id, `{"id":"`+id+`","quantity":1}`); err != nil {
		b.t.Fatalf("a receipt: %v", err)
	}
}

func (b *beside) get(path string) {
	b.t.Helper()
	var a testenv.Answer
	var err error
	b.until("GET "+path, func() bool {
		a, err = b.shop.Client.Do(b.t.Context(), http.MethodGet, path, "")
		return err == nil && a.Status == http.StatusOK
	})
}

func (b *beside) until(what string, fact func() bool) {
	b.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for began := time.Now(); !fact(); <-again.C {
		if time.Since(began) > goOnFor {
			b.t.Fatalf("not within %s beside locked tables: %s", goOnFor, what)
		}
	}
}

// ask sends queries that may have to wait, more of each than there are connections for queries.
func ask(t *testing.T, c *testenv.Client, paths []string) *sync.WaitGroup {
	var asked sync.WaitGroup
	for _, path := range paths {
		for range 20 {
			asked.Go(func() { _, _ = c.Do(t.Context(), http.MethodGet, path, "") }) // what they are answered is not the point
		}
	}
	return &asked
}

var build = regexp.MustCompile(`_b[0-9]+$`)

// tablesOf are all of the database, ready to be named in a statement: those of a read model under its name, others each under its own.
func tablesOf(t *testing.T, conn *pgx.Conn) map[string][]string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	var schema, table string
	_, err = pgx.ForEachRow(rows, []any{&schema, &table}, func() error {
		name := schema + "." + table
		if build.MatchString(schema) {
			name = build.ReplaceAllString(schema, "")
		}
		all[name] = append(all[name], pgx.Identifier{schema, table}.Sanitize())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// lockTables holds tables in a session of its own until release. It waits for those who use them, and they for it, so it asks for all
// again when it has met one of them.
func lockTables(t *testing.T, address string, tables []string) (release func()) {
	t.Helper()
	conn := connect(t, address)
	sql := "lock table " + strings.Join(tables, ", ") + " in access exclusive mode"
	for began := time.Now(); ; {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = tx.Exec(t.Context(), sql); err == nil {
			return func() {
				if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}
		}
		if rolled := tx.Rollback(t.Context()); rolled != nil || time.Since(began) > goOnFor {
			t.Fatalf("%s: %v", sql, errors.Join(err, rolled))
		}
	}
}
