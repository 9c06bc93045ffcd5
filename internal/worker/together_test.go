package worker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

// Rows and checkpoint change together or not at all: Postgres refuses one of the two, at the statement or as late as the
// commit, and nothing of the batch is kept. Where it is a build's rows that are refused, the build stays behind, rows and checkpoint,
// and the others go on. What was refused comes again and counts once.
func TestRowsAndCheckpointStandOrFallTogether(t *testing.T) {
	t.Parallel()
	for _, moment := range []struct{ name, trigger string }{
		{"at the statement", "create trigger refuse before insert or update on %s for each row execute function refuse()"},
		{"at the commit", "create constraint trigger refuse after insert or update on %s deferrable initially deferred for each row execute function refuse()"},
	} {
		for _, what := range []string{"checkpoint", "parcels", "parcels_history", "totals"} {
			t.Run(what+" "+moment.name, func(t *testing.T) {
				t.Parallel()
				pool := postgrestest.New(t)
				exec := func(sql string) {
					t.Helper()
					if _, err := pool.Exec(t.Context(), sql); err != nil {
						t.Fatal(err)
					}
				}
				j := busy(120, rand.New(rand.NewPCG(20, 21)).IntN)
				w := newWorkerOn(t, j, pool, all...)
				before := j.head(60)
				before.post(t, w, 20)

				table := "daybook.projection_group"
				switch what {
				case "parcels", "parcels_history":
					table = schemaOf(t, pool, "parcels", 1) + "." + what
				case "totals":
					table = schemaOf(t, pool, "totals", 1) + ".totals"
				}
				exec(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused by the test'; end $$`)
				exec(fmt.Sprintf(moment.trigger, table))
				refused := what == "checkpoint"
				for p := range partitions {
					batch := unread(j.parts[p], before.last(p))
					if err := w.Apply(t.Context(), p, before.last(p), batch); (err != nil) != refused {
						t.Errorf("partition %d, %d events: %v", p, len(batch), err)
					}
				}
				exec("drop function refuse cascade")
				upto := j
				if refused {
					upto = before
				}
				at, err := w.Checkpoints(t.Context(), []int{0, 1, 2})
				if err != nil {
					t.Fatal(err)
				}
				for p := range partitions {
					if at[p] != upto.last(p) {
						t.Errorf("partition %d is at %d, its rows at %d", p, at[p], upto.last(p))
					}
				}
				for name, check := range map[string]func(*journal){
					"parcels": func(j *journal) { check(t, pool, parcels, j) },
					"items":   func(j *journal) { check(t, pool, items, j) },
					"totals":  func(j *journal) { check(t, pool, totals, j) },
				} {
					if strings.HasPrefix(what, name) {
						check(before)
					} else {
						check(upto)
					}
				}
				j.post(t, w, 20)
				for p := range partitions {
					owned(t, w, pool, p, all...)
				}
				checkAll(t, pool, j)
			})
		}
	}
}
