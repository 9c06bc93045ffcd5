package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/orchestrator"
	"github.com/daybook-dev/daybook/internal/reactor"
	"github.com/daybook-dev/daybook/internal/relay"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/worker"
)

// Steps says for people what Carry will do, after what the domain does.
func Steps(p *Plan) (steps []string) {
	for _, part := range p.Parts() {
		steps = append(steps, fmt.Sprintf("%s: %s", part, will[part]))
	}
	return steps
}

// Carry does what a plan says, after amend: what the domain does first, while what was lost can still be seen. No role of the system may
// run: it holds the relay's lock, and refuses while others are connected. Interrupted anywhere, it is done again.
func Carry(ctx context.Context, cfg Config, p *Plan, amend func(context.Context) error) error {
	cfg.defaults()
	parts := p.Parts()
	if len(parts) == 0 {
		return nil
	}
	err := relay.Alone(ctx, cfg.Pool, func(conn *pgx.Conn) error {
		if err := noOtherProcess(ctx, conn); err != nil {
			return err
		}
		if err := amend(ctx); err != nil {
			return err
		}
		failpoint.Hit(failpoint.RecoverNumbersAfter)
		if slices.Contains(parts, Topic) {
			if err := topic.Delete(ctx, cfg.Brokers, cfg.Topic); err != nil {
				return err
			}
		}
		failpoint.Hit(failpoint.RecoverTopicAfter)
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `set local synchronous_commit = on`); err != nil {
				return err
			}
			for _, part := range parts {
				if part == Secrets {
					if err := cfg.Take(ctx, tx); err != nil {
						return fmt.Errorf("take the secrets that are given: %w", err)
					}
					failpoint.Hit(failpoint.RecoverSecretsAfter)
					continue
				}
				if err := forget(ctx, tx, part); err != nil {
					return fmt.Errorf("forget the %s: %w", part, err)
				}
			}
			failpoint.Hit(failpoint.RecoverCommitBefore)
			return nil
		})
		failpoint.Hit(failpoint.RecoverCommitAfter)
		return err
	})
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return nil
}

func forget(ctx context.Context, tx pgx.Tx, part Part) error {
	switch part {
	case Topic:
		return errors.Join(secrets.Forget(ctx, tx, secrets.Relay), relay.Forget(ctx, tx))
	case ReadModels:
		return worker.Forget(ctx, tx)
	case Sagas:
		return orchestrator.Forget(ctx, tx)
	case Reactors:
		return reactor.Forget(ctx, tx)
	}
	return fmt.Errorf("nothing is known of %s", part)
}

// Roles begins the name under which a process that runs roles connects to Postgres; others, as the doctor, have other names.
const Roles = "daybook roles: "

// noOtherProcess refuses while another process of the system is connected to Postgres: it would go on with what is forgotten.
func noOtherProcess(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `select distinct application_name from pg_stat_activity
		where datname = current_database() and starts_with(application_name, $1) order by 1`, Roles)
	if err != nil {
		return fmt.Errorf("asking who else is connected: %w", err)
	}
	others, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("asking who else is connected: %w", err)
	}
	if len(others) > 0 {
		return fmt.Errorf("processes of the system are connected to Postgres (%s): stop them first", strings.Join(others, "; "))
	}
	return nil
}
