package personal

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/kit/es"
)

// former gives the cipher of a key that the subject had beside its present one: nil if it is not there, or if what wraps it is not given.
func (k *Keys) former(ctx context.Context, s es.Sealed) (*subtle.AESGCM, error) {
	w := row{Subject: s.Subject, KeyID: s.KeyID}
	err := k.pool.QueryRow(ctx, `select kek_id, wrapped from daybook.personal_key_former where subject = $1 and key_id = $2`, s.Subject, s.KeyID).
		Scan(&w.KekID, &w.Wrapped)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil //nolint:nilnil // it is missing
	case err != nil:
		return nil, fmt.Errorf("former keys of personal data: %w", err)
	case k.ring.byID[w.KekID] == nil:
		return nil, nil //nolint:nilnil // likewise
	}
	return k.ring.cipher(w)
}

// Strange counts the subjects whose keys neither kek nor one of others unwraps.
func Strange(ctx context.Context, pool *pgxpool.Pool, kek []byte, others ...[]byte) (n int, err error) {
	r, err := newRing(kek, others)
	if err != nil {
		return 0, err
	}
	err = pool.QueryRow(ctx, `select count(*) from daybook.personal_key where wrapped is not null and kek_id <> all($1)`, r.ids).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("keys of personal data: %w", err)
	}
	return n, nil
}

// SetAside makes kek the one that this Postgres is known by, and keeps what neither it nor one of others unwraps as former keys. Their
// subjects get new keys. The former ones open what was sealed with them once the key-encryption key that wraps them is given again.
func SetAside(ctx context.Context, tx pgx.Tx, kek []byte, others ...[]byte) error {
	r, err := newRing(kek, others)
	if err != nil {
		return err
	}
	if err := secrets.Take(ctx, tx, secrets.KeyEncryption, kek); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `with strange as (delete from daybook.personal_key where wrapped is not null and kek_id <> all($1) returning subject, key_id, kek_id, wrapped)
		insert into daybook.personal_key_former (subject, key_id, kek_id, wrapped) select subject, key_id, kek_id, wrapped from strange
		on conflict (subject, key_id) do nothing`, r.ids)
	if err != nil {
		return fmt.Errorf("set keys of personal data aside: %w", err)
	}
	return nil
}
