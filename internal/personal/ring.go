package personal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// ring is the key-encryption keys. The first wraps, all unwrap.
type ring struct {
	keys [][]byte
	ids  []string // each a part of the key's fingerprint
	byID map[string]*subtle.AESGCM
}

func newRing(kek []byte, others [][]byte) (ring, error) {
	r := ring{byID: map[string]*subtle.AESGCM{}}
	for i, key := range append([][]byte{kek}, others...) {
		if len(key) != keyBytes {
			return ring{}, fmt.Errorf("key-encryption key %d has %d bytes, not %d", i+1, len(key), keyBytes)
		}
		cipher, err := subtle.NewAESGCM(key)
		if err != nil {
			return ring{}, fmt.Errorf("key-encryption key %d: %w", i+1, err)
		}
		id := hex.EncodeToString(secrets.Fingerprint(secrets.KeyEncryption, key)[:8])
		r.keys, r.ids, r.byID[id] = append(r.keys, key), append(r.ids, id), cipher
	}
	return r, nil
}

// fits refuses a Postgres whose keys this ring does not open.
func (r ring) fits(ctx context.Context, pool *pgxpool.Pool) error {
	if err := secrets.Verify(ctx, pool, secrets.KeyEncryption, r.keys[0], r.keys[1:]...); err != nil {
		return err
	}
	var strange string
	err := pool.QueryRow(ctx, `select kek_id from daybook.personal_key
		where wrapped is not null and kek_id <> all($1) limit 1`, r.ids).Scan(&strange)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("keys of personal data: %w", err)
	}
	return fmt.Errorf("%w: keys of personal data are wrapped by key-encryption key %s, which is not given", secrets.ErrOther, strange)
}

func (r ring) first() string { return r.ids[0] }

func (r ring) wrap(subject, keyID string, secret []byte) ([]byte, error) {
	wrapped, err := r.byID[r.first()].Encrypt(secret, wrapping(subject, keyID, r.first()))
	if err != nil {
		return nil, fmt.Errorf("wrap the key of %s: %w", subject, err)
	}
	return wrapped, nil
}

func (r ring) unwrap(w row) ([]byte, error) {
	kek, ok := r.byID[w.KekID]
	if !ok {
		return nil, fmt.Errorf("key of %s: wrapped by key-encryption key %s, which is not given", w.Subject, w.KekID)
	}
	secret, err := kek.Decrypt(w.Wrapped, wrapping(w.Subject, w.KeyID, w.KekID))
	if err != nil {
		return nil, fmt.Errorf("unwrap the key of %s: %w", w.Subject, err)
	}
	return secret, nil
}

func (r ring) cipher(w row) (*subtle.AESGCM, error) {
	secret, err := r.unwrap(w)
	if err != nil {
		return nil, err
	}
	return subtle.NewAESGCM(secret)
}

// wrapping binds a wrapped key to its row: moved to another subject it does not unwrap.
func wrapping(subject, keyID, kekID string) []byte {
	return framed("daybook key 1", subject, keyID, kekID)
}

// Rotate wraps every key again that another key-encryption key than the first wraps, and makes the first the one that
// this Postgres is known by. Interrupted, it is run again. Every process must have the first one before.
func (k *Keys) Rotate(ctx context.Context) error {
	for _, table := range []string{present, former} {
		if err := k.rewrapAll(ctx, table); err != nil {
			return fmt.Errorf("rotate the key-encryption key: %w", err)
		}
	}
	return secrets.Replace(ctx, k.pool, secrets.KeyEncryption, k.ring.keys[0], k.ring.keys[1:]...)
}

// The tables of keys.
const (
	present = "daybook.personal_key"
	former  = "daybook.personal_key_former"
)

func (k *Keys) rewrapAll(ctx context.Context, table string) error {
	for {
		if done, err := k.rewrap(ctx, table); err != nil || done {
			return err
		}
	}
}

func (k *Keys) rewrap(ctx context.Context, table string) (done bool, err error) {
	err = durably(ctx, k.pool, func(tx pgx.Tx) error {
		// Locked, so that an erasure comes before or after, never between.
		rows, err := tx.Query(ctx, `select subject, key_id, kek_id, wrapped from `+table+`
			where wrapped is not null and kek_id <> $1 and kek_id = any($3) order by subject limit $2 for update`, k.ring.first(), atOnce, k.ring.ids)
		if err != nil {
			return err
		}
		old, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
		if err != nil {
			return err
		}
		done = len(old) == 0
		subjects, ids, wrapped := make([]string, len(old)), make([]string, len(old)), make([][]byte, len(old))
		for i, w := range old {
			secret, err := k.ring.unwrap(w)
			if err != nil {
				return err
			}
			subjects[i], ids[i] = w.Subject, w.KeyID
			if wrapped[i], err = k.ring.wrap(w.Subject, w.KeyID, secret); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `update `+table+` k set kek_id = $1, wrapped = new.wrapped
			from unnest($2::text[], $3::text[], $4::bytea[]) as new (subject, key_id, wrapped) where k.subject = new.subject and k.key_id = new.key_id`,
			k.ring.first(), subjects, ids, wrapped)
		return err
	})
	return done, err
}
