package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/internal/embedded/pgserver"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/recovery"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/wholefile"
)

func (s *System) recovery(keys *topic.Keys) recovery.Config {
	return recovery.Config{Store: s.Store, Pool: s.Pool, Brokers: splitList(s.Addresses.Kafka), Topic: s.cfg.topicName(), Keys: keys}
}

// agrees refuses a system whose servers do not belong together. keys may be nil.
func (s *System) agrees(ctx context.Context, keys *topic.Keys) error {
	plan, err := recovery.Diagnose(ctx, s.recovery(keys))
	if err != nil {
		return err
	}
	return plan.Err()
}

// Recovery is what disagrees, what was lost by it, and what is done.
type Recovery struct {
	Plan   *recovery.Plan `json:"plan"`
	Losses any            `json:"losses,omitempty"` // as the domain says
	Lost   []string       `json:"-"`                // the same for people
	Steps  []string       `json:"steps"`
	File   string         `json:"-"`
	Done   bool           `json:"-"`
	// Password: the embedded Postgres was given the password in the file of secrets.
	Password bool `json:"password_set,omitempty"`
}

// RecoverOptions say how far Recover may go.
type RecoverOptions struct {
	Do         bool // else it is only said what would be done
	OtherStore bool // also where Postgres was fed by an event store that has nothing to do with this one
	LostKeys   bool // also where the key-encryption key or the installation key is lost
	ReadModels bool // build the read models anew, whether they disagree or not
}

// errOtherStore refuses to make Postgres follow an event store of another installation.
var errOtherStore = errors.New("this event store has never fed this Postgres: connect the one that did, or give --accept-other-store, " +
	"by which everything that Postgres knows of the other one is forgotten, but for the keys of personal data")

// Recover makes the servers of a stopped system belong together again.
func Recover(ctx context.Context, d Domain, cfg Config, log *slog.Logger, o RecoverOptions) (r *Recovery, err error) {
	d, cfg = anywhere(d, cfg)
	r = &Recovery{}
	system, release, err := SystemFor(ctx, d, cfg, log, serversOfRecord)
	if errors.Is(err, pgserver.ErrPassword) {
		if !o.Do {
			return foreignPassword(cfg), nil
		}
		if err = pgserver.SetPassword(ctx, pgserver.Config{Dir: filepath.Join(cfg.DataDir, RolePostgres), PasswordFile: passwordFile(cfg), Logger: log}); err != nil {
			return nil, err
		}
		failpoint.Hit(failpoint.RecoverPasswordAfter)
		r.Password = true
		system, release, err = SystemFor(ctx, d, cfg, log, serversOfRecord)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	read, err := secrets.RelayKeys(cfg.SecretsDir())
	if err != nil {
		return nil, err
	}
	keys, err := topic.NewKeys(read, log)
	if err != nil {
		return nil, err
	}
	ask := system.recovery(keys)
	if r.Plan, err = recovery.Diagnose(ctx, ask); err != nil {
		return nil, err
	}
	switch err := secrets.RecogniseRelayKeys(ctx, system.Pool, read); {
	case errors.Is(err, secrets.ErrOther):
		r.Plan.Resign(err)
	case err != nil:
		return nil, err
	}
	if ask.Take, err = system.foreignKeys(ctx, cfg, r.Plan); err != nil {
		return nil, err
	}
	if o.ReadModels {
		r.Plan.Rebuild()
	}
	if len(r.Plan.Troubles) == 0 {
		return r, nil
	}
	amends := Amends{}
	if !r.Plan.Other && r.Plan.Lost() && d.Lost != nil {
		if amends, err = system.amends(ctx, ask, r.Plan); err != nil {
			return nil, err
		}
	}
	r.Losses, r.Lost, r.Steps = amends.Losses, amends.Lost, slices.Concat(amends.Steps, recovery.Steps(r.Plan))
	switch {
	case !o.Do:
		return r, nil
	case r.Plan.Other && !o.OtherStore:
		return r, errOtherStore
	case ask.Take != nil && !o.LostKeys:
		return r, errLostKeys
	}
	if r.File, err = r.keep(cfg.DataDir); err != nil {
		return r, err
	}
	err = recovery.Carry(ctx, ask, r.Plan, func(ctx context.Context) error {
		if amends.Do == nil {
			return nil
		}
		return amends.Do(ctx, system.Handler)
	})
	r.Done = err == nil
	return r, err
}

// keep writes what is about to be done into a file: afterwards nothing tells any more what was lost.
func (r *Recovery) keep(dir string) (string, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode what is recovered: %w", err)
	}
	file := filepath.Join(dir, "recovery-"+time.Now().UTC().Format("20060102T150405.000")+".json")
	if err := wholefile.Write(file, append(b, '\n')); err != nil {
		return "", fmt.Errorf("keep what is recovered: %w", err)
	}
	return file, nil
}
