package secrets

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Names of the keys that Postgres knows by their fingerprints.
const (
	Installation  = "installation key"
	KeyEncryption = "key-encryption key"
	Relay         = "relay key"
)

// ErrOther says that the key is not the one this Postgres was first used with.
var ErrOther = errors.New("not the key of this installation")

// Fingerprint tells keys apart and says nothing of them.
func Fingerprint(name string, key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("daybook fingerprint 1: " + name))
	return h.Sum(nil)
}

// Verify refuses, with ErrOther, a key that is not the one this Postgres was first used with, nor is one of others. In a
// Postgres that knows none yet, key becomes the one; of two processes with two keys the second is refused.
func Verify(ctx context.Context, pool *pgxpool.Pool, name string, key []byte, others ...[]byte) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "insert into daybook.fingerprint (name, value) values ($1, $2) on conflict (name) do nothing", name, Fingerprint(name, key))
		return err
	})
	if err != nil {
		return fmt.Errorf("fingerprint of the %s: %w", name, err)
	}
	return Recognise(ctx, pool, name, key, others...)
}

// Recognise is Verify that notes nothing: a Postgres that knows no key yet takes any.
func Recognise(ctx context.Context, pool *pgxpool.Pool, name string, key []byte, others ...[]byte) error {
	var known []byte
	err := pool.QueryRow(ctx, "select value from daybook.fingerprint where name = $1", name).Scan(&known)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("fingerprint of the %s: %w", name, err)
	}
	for _, k := range append([][]byte{key}, others...) {
		if hmac.Equal(known, Fingerprint(name, k)) {
			return nil
		}
	}
	return fmt.Errorf("the %s: %w: fingerprint %x, but this Postgres was made with %x; use the secrets it was made with: the secrets directory of any backup of this installation has them; "+
		"if they are lost, run `daybook recover`",
		name, ErrOther, Fingerprint(name, key)[:6], known[:min(6, len(known))])
}

// Take makes key the one that Verify takes, whatever it was.
func Take(ctx context.Context, tx pgx.Tx, name string, key []byte) error {
	_, err := tx.Exec(ctx, "insert into daybook.fingerprint (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value",
		name, Fingerprint(name, key))
	if err != nil {
		return fmt.Errorf("fingerprint of the %s: %w", name, err)
	}
	return nil
}

// Replace makes key the one that Verify takes, where one of others was.
func Replace(ctx context.Context, pool *pgxpool.Pool, name string, key []byte, others ...[]byte) error {
	fitting := make([][]byte, 0, 1+len(others))
	for _, k := range append([][]byte{key}, others...) {
		fitting = append(fitting, Fingerprint(name, k))
	}
	tag, err := pool.Exec(ctx, "update daybook.fingerprint set value = $2 where name = $1 and value = any($3)", name, fitting[0], fitting)
	switch {
	case err != nil:
		return fmt.Errorf("fingerprint of the %s: %w", name, err)
	case tag.RowsAffected() == 0:
		return fmt.Errorf("the %s: %w", name, ErrOther)
	}
	return nil
}

// Forget lets the next key that is verified become the one.
func Forget(ctx context.Context, tx pgx.Tx, name string) error {
	if _, err := tx.Exec(ctx, "delete from daybook.fingerprint where name = $1", name); err != nil {
		return fmt.Errorf("fingerprint of the %s: %w", name, err)
	}
	return nil
}
