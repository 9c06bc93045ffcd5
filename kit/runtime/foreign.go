package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/personal"
	"github.com/daybook-dev/daybook/internal/recovery"
	"github.com/daybook-dev/daybook/internal/secrets"
)

// errLostKeys refuses to go on without keys that may be in a backup.
var errLostKeys = errors.New("take the secrets directory from a backup of this installation; if its keys are lost, give --accept-lost-keys")

// passwordFile holds the password of the superuser of the embedded Postgres.
func passwordFile(cfg Config) string { return filepath.Join(cfg.SecretsDir(), "postgres.password") }

// foreignPassword is what is known where nothing else can be compared.
func foreignPassword(cfg Config) *Recovery {
	file := passwordFile(cfg)
	plan := &recovery.Plan{}
	plan.Foreign("the embedded Postgres was made with another password than the one in %s", file)
	return &Recovery{Plan: plan, Steps: []string{fmt.Sprintf("set the password of the embedded Postgres to the one in %s; the servers are compared after that", file)}}
}

// foreignKeys adds to plan the keys in the secrets directory that are not those of this Postgres, and gives what makes them so: nil
// where there are none. A key that is not there is not needed on this machine. It writes nothing.
func (s *System) foreignKeys(ctx context.Context, cfg Config, plan *recovery.Plan) (take func(context.Context, pgx.Tx) error, err error) {
	var need secrets.Need
	for file, n := range map[string]secrets.Need{"installation.key": secrets.InstallationKey, "key-encryption.key": secrets.KeyEncryptionKey} {
		if _, err := os.Stat(filepath.Join(cfg.SecretsDir(), file)); err == nil {
			need |= n
		}
	}
	given, err := secrets.Load(secrets.Config{Dir: cfg.SecretsDir()}, need)
	if err != nil {
		return nil, err
	}
	var all []func(context.Context, pgx.Tx) error
	if key := given.InstallationKey; key != nil {
		switch err := secrets.Recognise(ctx, s.Pool, secrets.Installation, key); {
		case errors.Is(err, secrets.ErrOther):
			plan.Foreign("the installation key is not the one that this Postgres was made with")
			all = append(all, func(ctx context.Context, tx pgx.Tx) error { return secrets.Take(ctx, tx, secrets.Installation, key) })
		case err != nil:
			return nil, err
		}
	}
	if keys := given.KeyEncryptionKeys; keys != nil {
		strange, err := personal.Strange(ctx, s.Pool, keys[0], keys[1:]...)
		if err == nil {
			err = secrets.Recognise(ctx, s.Pool, secrets.KeyEncryption, keys[0], keys[1:]...)
		}
		switch {
		case errors.Is(err, secrets.ErrOther), err == nil && strange > 0:
			plan.Foreign("the key-encryption key is not the one that this Postgres was made with: it does not open the keys of %d subjects", strange)
			all = append(all, func(ctx context.Context, tx pgx.Tx) error { return personal.SetAside(ctx, tx, keys[0], keys[1:]...) })
		case err != nil:
			return nil, err
		}
	}
	if all == nil {
		return nil, nil //nolint:nilnil // nothing is to be taken
	}
	return func(ctx context.Context, tx pgx.Tx) error {
		for _, take := range all {
			if err := take(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
