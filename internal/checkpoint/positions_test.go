package checkpoint_test

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/checkpoint"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
)

// A build in the common transaction has the position of its group; one that goes by itself has a row of its own.
func TestPositionsOfEveryKind(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	_, err := pool.Exec(t.Context(), `
		insert into daybook.projection_group (part, position) values (0, 7), (1, 9);
		insert into daybook.projection_build (projection, version, schema_name, partitions, incarnation, fingerprint) values
			('orders', 1, 'b1', 2, 'm', ''), ('orders', 2, 'b2', 2, 'm', '');
		insert into daybook.projection_pointer (projection, build) values ('orders', 1);
		insert into daybook.projection_checkpoint (build, part, position) values (1, 1, 3), (2, 0, 1);
		insert into daybook.saga_checkpoint (name, partition, position, partitions, incarnation) values ('placement', 0, 5, 2, 'm'), ('other', 0, 1, 2, 'm');
		insert into daybook.reactor_checkpoint (name, partition, partitions, incarnation, position) values ('payments', 1, 2, 'm', 6)`)
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[checkpoint.Kind][]checkpoint.Position{
		checkpoint.ReadModel: {{Name: "orders", Partition: 0, At: 7}, {Name: "orders", Partition: 1, At: 3}},
		checkpoint.Saga:      {{Name: "placement", Partition: 0, At: 5}},
		checkpoint.Reactor:   {{Name: "payments", Partition: 1, At: 6}},
	} {
		got, err := checkpoint.Positions(t.Context(), pool, kind, []string{"orders", "placement", "payments"})
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %v, %v", kind, got, err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", kind, got, want)
			}
		}
	}
}
