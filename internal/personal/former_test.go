package personal

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/kit/es"
)

// A lost key-encryption key makes personal data missing and nothing else: a subject that is sealed for again gets a new key, and what was
// sealed before opens again once the lost one is found. An erasure destroys all keys of a subject.
func TestLostKeyEncryptionKey(t *testing.T) {
	t.Parallel()
	pool, lost, kek := postgrestest.New(t), newKey(), newKey()
	before := open(t, pool, lost)
	ada, bob := seal(t, before, "customer-C1", "name", "Ada"), seal(t, before, "customer-C2", "name", "Bob")
	if _, err := Open(t.Context(), pool, kek); !errors.Is(err, secrets.ErrOther) {
		t.Fatalf("another key-encryption key: %v", err)
	}
	if n, err := Strange(t.Context(), pool, kek); err != nil || n != 2 {
		t.Fatalf("%d keys do not open, %v", n, err)
	}
	if err := durably(t.Context(), pool, func(tx pgx.Tx) error { return SetAside(t.Context(), tx, kek) }); err != nil {
		t.Fatal(err)
	}
	keys := open(t, pool, kek)
	again := seal(t, keys, "customer-C1", "name", "Ada again")
	opens(t, keys, again, "Ada again")
	for _, s := range []es.Sealed{ada, bob} {
		if _, err := keys.Unseal(t.Context(), s); !errors.Is(err, es.ErrNoKey) {
			t.Errorf("%s: %v", s.Subject, err)
		}
	}
	found := open(t, pool, kek, lost)
	for s, want := range map[*es.Sealed]string{&ada: "Ada", &bob: "Bob", &again: "Ada again"} {
		opens(t, found, *s, want)
	}
	opens(t, open(t, pool, kek), ada, "Ada") // it was wrapped by the new one

	erase(t, pool, "customer-C1")
	if _, err := open(t, pool, kek, lost).Unseal(t.Context(), ada); !errors.Is(err, es.ErrErased) {
		t.Errorf("after the erasure: %v", err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `select count(*) from daybook.personal_key_former where subject = 'customer-C1'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d former keys are left after the erasure: %v", left, err)
	}
}

func opens(t *testing.T, k *Keys, s es.Sealed, want string) {
	t.Helper()
	if got, err := k.Unseal(t.Context(), s); err != nil || got != want {
		t.Errorf("%s: %q, %v", s.Subject, got, err)
	}
}
