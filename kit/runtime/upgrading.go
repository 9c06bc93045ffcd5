package runtime

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/orchestrator"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// raise states the versions of this program in the event store, before any role appends, and refuses what it cannot carry on:
// read models of a newer program, and running sagas of versions that it does not have.
func (s *System) raise(ctx context.Context, program string) error {
	own, err := s.versions()
	if err != nil {
		return err
	}
	newest, err := s.domain.newestProjections()
	if err != nil {
		return err
	}
	serving, err := s.servingProjections(ctx)
	if err != nil {
		return err
	}
	for name, v := range serving {
		if v > newest[name] && newest[name] > 0 {
			return fmt.Errorf("read model %s is served by version %d, this program has up to %d: run a newer program, or forget it with "+
				"`daybook recover --yes --read-models`; see docs/upgrading.md", name, v, newest[name])
		}
	}
	if err := s.drivable(ctx, own.Sagas); err != nil {
		return err
	}
	return deployment.Raise(ctx, s.Store, s.Catalog, program, own)
}

func (d Domain) newestProjections() (map[string]int, error) {
	plans, err := plan.Compile(d.Projections...)
	if err != nil {
		return nil, err
	}
	newest := map[string]int{}
	for _, p := range plans {
		newest[p.Name] = max(newest[p.Name], p.Version)
	}
	return newest, nil
}

// servingProjections gives the version of each read model that answers queries.
func (s *System) servingProjections(ctx context.Context) (map[string]int, error) {
	rows, err := s.Pool.Query(ctx, `select p.projection, b.version from daybook.projection_pointer p join daybook.projection_build b on b.id = p.build`)
	if err != nil {
		return nil, fmt.Errorf("read which read models serve: %w", err)
	}
	serving := map[string]int{}
	var name string
	var version int
	if _, err := pgx.ForEachRow(rows, []any{&name, &version}, func() error { serving[name] = version; return nil }); err != nil {
		return nil, fmt.Errorf("read which read models serve: %w", err)
	}
	return serving, nil
}

// drivable refuses running sagas, and those that may be reopened, that were begun by a version which this program does not have.
func (s *System) drivable(ctx context.Context, own map[string]int) error {
	needs, err := orchestrator.Needs(ctx, s.Pool)
	if err != nil {
		return err
	}
	var lacking []string
	for _, need := range needs {
		if need.Version > own[need.Saga] {
			lacking = append(lacking, fmt.Sprintf("%d running instances of saga %s need its version %d, this program has %d", need.N, need.Saga, need.Version, own[need.Saga]))
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("%s: run a program that has it, see docs/upgrading.md", strings.Join(lacking, "; "))
	}
	return nil
}

// rebuilding counts the read models whose newest version does not serve yet.
func (s *System) rebuilding(ctx context.Context) (int, error) {
	newest, err := s.domain.newestProjections()
	if err != nil {
		return 0, err
	}
	serving, err := s.servingProjections(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for name, v := range newest {
		if serving[name] < v {
			n++
		}
	}
	return n, nil
}
