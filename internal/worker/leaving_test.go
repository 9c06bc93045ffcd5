package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// standings are where the builds are, as everybody asks for it: "items 0 apart 25".
func standings(t *testing.T, pool *pgxpool.Pool, name string) []string {
	t.Helper()
	return asked(t, pool, fmt.Sprintf(`select concat_ws(' ', part, case when apart then 'apart' else 'together' end, position)
		from daybook.projection_progress p join daybook.projection_build b on b.id = p.build where b.projection = '%s' order by part`, name))
}

func places(how string, j *journal) (all []string) {
	for p := range partitions {
		all = append(all, fmt.Sprintf("%d %s %d", p, how, j.last(p)))
	}
	return all
}

// A build leaves its group, and joins it again, in one commit or not at all: when the connection is cut while that is committed,
// the build is where it was, and no event is skipped or applied twice.
func TestABuildLeavesAndJoinsAsAWhole(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(150, rand.New(rand.NewPCG(43, 44)).IntN)
	before := j.head(60)
	w := newWorkerOn(t, j, pool, all...)
	w.BePatient()
	before.post(t, w, 20)
	execute(t, pool, `create sequence cuts; create table cut_at (n bigint); insert into cut_at values (1), (5)`) // the first that leaves, the first that joins
	execute(t, pool, `create function cut() returns trigger language plpgsql as $$ begin
		if nextval('cuts') in (select n from cut_at) then perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60); end if; return null; end $$`)
	execute(t, pool, `create constraint trigger cut after insert or delete on daybook.projection_checkpoint deferrable initially deferred for each row execute function cut()`)
	execute(t, pool, `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused by the test'; end $$`)
	execute(t, pool, `create trigger refuse before insert or update on `+schemaOf(t, pool, "items", 1)+`.items for each row execute function refuse()`)

	apply := func(p int) error {
		return w.Apply(t.Context(), p, before.last(p), unread(j.parts[p], before.last(p)))
	}
	if err := apply(0); err == nil {
		t.Fatal("the connection was not cut")
	}
	same(t, standings(t, pool, "items"), places("together", before))
	checkAll(t, pool, before)

	for p := range partitions {
		if err := apply(p); err != nil {
			t.Fatal(err)
		}
	}
	same(t, standings(t, pool, "items"), places("apart", before))
	same(t, standings(t, pool, "parcels"), places("together", j))
	check(t, pool, items, before)
	check(t, pool, parcels, j)
	check(t, pool, totals, j)

	execute(t, pool, `drop function refuse cascade`)
	ctx, cancel := context.WithCancel(t.Context())
	var owning sync.WaitGroup
	defer owning.Wait()
	defer cancel()
	for p := range partitions {
		owning.Go(func() { w.Own(ctx, p) })
	}
	until(t, func() bool { return len(w.Apart()) == 0 })
	if cut := asked(t, pool, `select (last_value >= 8)::text from cuts`); cut[0] != "true" { // three left after one cut, three joined after one
		t.Error("no commit of a member that leaves, or of one that joins, was cut")
	}
	same(t, standings(t, pool, "items"), places("together", j))
	checkAll(t, pool, j)
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("builds are at %v, want %v", got, want)
	}
}

// A worker that does not know yet that a build has left moves neither checkpoint for it, although the group is where it was. And a
// query of the build that left does not take the group's position for the build's.
func TestAStaleWorkerDoesNotFeedABuildThatLeft(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	j := busy(120, rand.New(rand.NewPCG(45, 46)).IntN)
	before := j.head(60)
	stale := newWorkerOn(t, j, pool, all...)
	stale.BePatient()
	before.post(t, stale, 20)
	before.post(t, newWorkerOn(t, j, pool, parcels, totals), 20) // which has nothing to post, and puts out what it cannot feed
	same(t, standings(t, pool, "items"), places("apart", before))

	for p := range partitions {
		if err := stale.Apply(t.Context(), p, before.last(p), unread(j.parts[p], before.last(p))); err != nil {
			t.Fatal(err)
		}
	}
	same(t, standings(t, pool, "items"), places("apart", before))
	check(t, pool, items, before)
	check(t, pool, parcels, j)
	j.relayed(t, pool, 1000)
	ask := query.Ask{MinPosition: j.records[len(j.records)-1].Position, Wait: time.Millisecond}
	if _, _, err := query.All[perItem](t.Context(), viewOf(t, pool, items), ask, `select n from {items}`); !errors.Is(err, query.ErrNotYet) {
		t.Errorf("a build that left answers for the group's position: %v", err)
	}
	if _, _, err := query.All[total](t.Context(), viewOf(t, pool, totals), ask, `select parcels, n from {totals}`); err != nil {
		t.Errorf("a member does not: %v", err)
	}
	for p := range partitions {
		owned(t, stale, pool, p, all...)
	}
	checkAll(t, pool, j)
}
