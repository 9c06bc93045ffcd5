package personal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/secrets"
	"github.com/daybook-dev/daybook/kit/es"
)

var stream = es.StreamID{Category: "order", Key: "O-1"}

func TestSealedOpens(t *testing.T) {
	t.Parallel()
	pool, kek := postgrestest.New(t), newKey()
	keys := open(t, pool, kek)
	for _, plaintext := range []string{"Ada Lovelace", "ada@example.org", "a", "Straße 7, Ελλάδα", strings.Repeat("x", 10_000)} {
		s := seal(t, keys, "customer-C1", "name", plaintext)
		if strings.Contains(string(s.Ciphertext), plaintext) && len(plaintext) > 1 {
			t.Errorf("%q can be read in the ciphertext", plaintext)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var copied es.Sealed // as it comes back from an event or a row
		if err := json.Unmarshal(b, &copied); err != nil {
			t.Fatal(err)
		}
		for name, k := range map[string]*Keys{"the same": keys, "another process": open(t, pool, kek)} {
			if got, err := k.Unseal(t.Context(), copied); err != nil || got != plaintext {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	if a, b := seal(t, keys, "staff", "note", "same"), seal(t, keys, "staff", "note", "same"); string(a.Ciphertext) == string(b.Ciphertext) {
		t.Error("equal plaintexts can be seen to be equal")
	}
}

func TestNothingSealedIsNothing(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	keys := open(t, pool, newKey())
	if s := seal(t, keys, "customer-C1", "phone", ""); !s.IsZero() {
		t.Errorf("sealed %+v", s)
	}
	if got, err := keys.Unseal(t.Context(), es.Sealed{}); got != "" || err != nil {
		t.Errorf("opened %q, %v", got, err)
	}
	if n := count(t, pool); n != 0 {
		t.Errorf("made %d keys", n)
	}
	if _, err := keys.Seal(t.Context(), "staff", stream, "order.noted", "note", "a\x00b"); !errors.Is(err, es.ErrNUL) {
		t.Errorf("U+0000: %v", err)
	}
	if _, err := keys.Seal(t.Context(), "", stream, "order.noted", "note", "x"); err == nil {
		t.Error("sealed without a subject")
	}
}

// Everything a value was sealed for is bound to it.
func TestAlteredDoesNotOpen(t *testing.T) {
	t.Parallel()
	keys := open(t, postgrestest.New(t), newKey())
	good := seal(t, keys, "customer-C1", "name", "Ada")
	other := seal(t, keys, "customer-C2", "name", "Bob")
	for name, alter := range map[string]func(*es.Sealed){
		"stream":             func(s *es.Sealed) { s.Stream = "order-O-2" },
		"type":               func(s *es.Sealed) { s.Type = "order.cancelled" },
		"field":              func(s *es.Sealed) { s.Field = "email" },
		"type into stream":   func(s *es.Sealed) { s.Stream, s.Type = s.Stream+s.Type, "" },
		"subject and key":    func(s *es.Sealed) { s.Subject, s.KeyID = other.Subject, other.KeyID },
		"key":                func(s *es.Sealed) { s.KeyID = other.KeyID },
		"subject":            func(s *es.Sealed) { s.Subject = other.Subject },
		"flipped bit":        func(s *es.Sealed) { s.Ciphertext[len(s.Ciphertext)/2] ^= 1 },
		"cut":                func(s *es.Sealed) { s.Ciphertext = s.Ciphertext[:5] },
		"empty":              func(s *es.Sealed) { s.Ciphertext = nil },
		"another ciphertext": func(s *es.Sealed) { s.Ciphertext = other.Ciphertext },
	} {
		s := good
		s.Ciphertext = slices.Clone(good.Ciphertext)
		alter(&s)
		if got, err := keys.Unseal(t.Context(), s); err == nil || got != "" {
			t.Errorf("%s altered: opened as %q", name, got)
		}
	}
}

// Several processes seal for the same new subjects at once: each opens what any sealed.
func TestOneKeyPerSubject(t *testing.T) {
	t.Parallel()
	pool, kek := postgrestest.New(t), newKey()
	const processes, subjects = 6, 40
	var mu sync.Mutex
	var sealed []es.Sealed
	var wg sync.WaitGroup
	for p := range processes {
		keys := open(t, pool, kek)
		wg.Go(func() {
			if p%2 == 0 { // half in bulk, in another order each
				all := make([]string, subjects)
				for i := range all {
					all[i] = fmt.Sprint("customer-", (i*7+p)%subjects)
				}
				if err := keys.Prepare(t.Context(), all...); err != nil {
					t.Error(err)
				}
			}
			for i := range subjects {
				s, err := keys.Seal(t.Context(), fmt.Sprint("customer-", i), stream, "order.placed", "name", "Ada")
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				sealed = append(sealed, s)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	fresh := open(t, pool, kek)
	for _, s := range sealed {
		if got, err := fresh.Unseal(t.Context(), s); err != nil || got != "Ada" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if n := count(t, pool); n != subjects {
		t.Errorf("%d keys for %d subjects", n, subjects)
	}
}

func TestErasedWithin30Seconds(t *testing.T) {
	t.Parallel()
	pool, kek := postgrestest.New(t), newKey()
	keys := open(t, pool, kek)
	now := time.Now()
	keys.now = func() time.Time { return now }
	s := seal(t, keys, "customer-C1", "name", "Ada")
	other := seal(t, keys, "customer-C2", "name", "Bob")
	erase(t, pool, "customer-C1")

	now = now.Add(30*time.Second + time.Nanosecond)
	if got, err := keys.Unseal(t.Context(), s); !errors.Is(err, es.ErrErased) || got != "" {
		t.Errorf("opened %q, %v", got, err)
	}
	if _, err := keys.Seal(t.Context(), "customer-C1", stream, "order.placed", "name", "Ada"); !errors.Is(err, es.ErrErased) {
		t.Errorf("sealed for an erased subject: %v", err)
	}
	if err := keys.Prepare(t.Context(), "customer-C1", "customer-C3"); err != nil {
		t.Errorf("an erased subject among others: %v", err)
	}
	if got, err := keys.Unseal(t.Context(), other); err != nil || got != "Bob" {
		t.Errorf("the other subject: %q, %v", got, err)
	}
	if _, err := open(t, pool, kek).Unseal(t.Context(), s); !errors.Is(err, es.ErrErased) {
		t.Errorf("another process: %v", err)
	}
}

func TestLostKeyIsNotAnErasedOne(t *testing.T) {
	t.Parallel()
	pool, kek := postgrestest.New(t), newKey()
	s := seal(t, open(t, pool, kek), "customer-C1", "name", "Ada")
	exec(t, pool, "delete from daybook.personal_key")
	keys := open(t, pool, kek)
	if _, err := keys.Unseal(t.Context(), s); !errors.Is(err, es.ErrNoKey) || errors.Is(err, es.ErrErased) {
		t.Errorf("no row: %v", err)
	}
	seal(t, keys, "customer-C1", "name", "Ada") // makes another one
	if _, err := keys.Unseal(t.Context(), s); !errors.Is(err, es.ErrNoKey) {
		t.Errorf("another key: %v", err)
	}
}

// An import seals for thousands of subjects: no statement per subject.
func TestPrepareAsksOnce(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	asked := &counter{}
	pool, err := postgres.Open(t.Context(), url, postgres.Options{Tracer: asked})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	keys := open(t, pool, newKey())
	subjects := []string{"", "guest-1"} // and twice
	for i := range 3000 {
		subjects = append(subjects, fmt.Sprint("guest-", i))
	}
	asked.reset()
	begun := time.Now()
	if err := keys.Prepare(t.Context(), subjects...); err != nil {
		t.Fatal(err)
	}
	made := time.Since(begun)
	var sealed []es.Sealed
	begun = time.Now()
	for _, s := range subjects[1:] {
		sealed = append(sealed, seal(t, keys, s, "name", "Ada Lovelace"))
	}
	t.Logf("3,000 keys in %v, %d statements; a seal takes %v", made, asked.n, time.Since(begun)/time.Duration(len(sealed)))
	if asked.n > 6 {
		t.Errorf("%d statements", asked.n)
	}
	fresh := open(t, pool, keys.ring.keys[0])
	asked.reset()
	if err := fresh.Load(t.Context(), subjects...); err != nil {
		t.Fatal(err)
	}
	for _, s := range sealed {
		if _, err := fresh.Unseal(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if asked.n != 1 {
		t.Errorf("%d statements to open them", asked.n)
	}
	if n := count(t, pool); n != 3000 {
		t.Errorf("%d keys", n)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const most = 1000
	keys := &Keys{now: func() time.Time { return now }, known: map[string]known{}}
	keys.Hold(most * keyWeight)
	for i := range most {
		keys.known[strconv.Itoa(i)] = known{until: now.Add(time.Duration(i%2) * time.Second)}
	}
	keys.makeRoom(now, 1)
	if len(keys.known) != most/2 {
		t.Errorf("%d left, want the half that has not expired", len(keys.known))
	}
	keys.makeRoom(now, most)
	if len(keys.known) != 0 {
		t.Errorf("%d left", len(keys.known))
	}
}

// The key is on disk before it is used, also where somebody made the whole server lazy.
func TestKeysAreSynced(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	seen := &counter{}
	pool, err := postgres.Open(t.Context(), url+"&options=-csynchronous_commit%3Doff", postgres.Options{Tracer: seen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	keys := open(t, pool, newKey())
	seen.reset()
	seal(t, keys, "customer-C1", "name", "Ada")
	if i, j := seen.index("'synchronous_commit', 'on'"), seen.index("insert into daybook.personal_key"); i < 0 || j < i || len(seen.statements) != 3 {
		t.Errorf("statements: %q", seen.statements)
	}
	// A key that could not be committed is not used, though it was read back.
	exec(t, pool, `create function daybook.refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end';
		create constraint trigger refuse after insert on daybook.personal_key deferrable initially deferred for each row execute function daybook.refuse()`)
	if _, err := keys.Seal(t.Context(), "customer-C2", stream, "order.placed", "name", "Ada"); err == nil {
		t.Error("a key that was not committed was used")
	}
	if _, ok := keys.recall("customer-C2"); ok || count(t, pool) != 1 {
		t.Errorf("a key that was not committed is remembered: %t; %d keys", ok, count(t, pool))
	}
	err = durably(t.Context(), pool, func(tx pgx.Tx) error {
		var setting string
		if err := tx.QueryRow(t.Context(), "show synchronous_commit").Scan(&setting); err != nil || setting != "on" {
			return fmt.Errorf("synchronous_commit is %s: %w", setting, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOtherKeysAreRefused(t *testing.T) {
	t.Parallel()
	pool, kek := postgrestest.New(t), newKey()
	open(t, pool, kek)
	_, err := Open(t.Context(), pool, newKey())
	if !errors.Is(err, secrets.ErrOther) || !strings.Contains(err.Error(), "key-encryption key") {
		t.Errorf("another key-encryption key: %v", err)
	}
	if _, err := Open(t.Context(), pool, kek[:16]); err == nil {
		t.Error("a short key is taken")
	}
	open(t, pool, kek)
}

func TestRotate(t *testing.T) {
	t.Parallel()
	pool, older, newer := postgrestest.New(t), newKey(), newKey()
	keys := open(t, pool, older)
	var want, got []string
	var sealed []es.Sealed
	for i := range 20 {
		want = append(want, fmt.Sprint("name ", i))
		sealed = append(sealed, seal(t, keys, fmt.Sprint("customer-", i), "name", want[i]))
	}
	erase(t, pool, "customer-3")

	if _, err := Open(t.Context(), pool, newer); !errors.Is(err, secrets.ErrOther) {
		t.Fatalf("the new one alone, too early: %v", err)
	}
	open(t, pool, older, newer)
	both := open(t, pool, newer, older)
	sealed = append(sealed, seal(t, both, "customer-new", "name", "new"))
	want = append(want, "new")
	if _, err := Open(t.Context(), pool, older); !errors.Is(err, secrets.ErrOther) {
		t.Fatalf("the old one alone, with keys wrapped by the new one: %v", err)
	}
	for range 2 { // and again
		if err := both.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), pool, older); !errors.Is(err, secrets.ErrOther) {
		t.Errorf("the old one alone: %v", err)
	}
	alone := open(t, pool, newer)
	for i, s := range sealed {
		plaintext, err := alone.Unseal(t.Context(), s)
		if i == 3 {
			if !errors.Is(err, es.ErrErased) {
				t.Errorf("rotation brought an erased key back: %v", err)
			}
			plaintext, err = want[3], nil
		}
		if err != nil {
			t.Error(err)
		}
		got = append(got, plaintext)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Wrapped keys swapped between subjects do not unwrap.
func TestSwappedKeysAreFound(t *testing.T) {
	t.Parallel()
	pool, kek := postgrestest.New(t), newKey()
	keys := open(t, pool, kek)
	s := seal(t, keys, "customer-1", "name", "Ada")
	seal(t, keys, "customer-2", "name", "Bob")
	exec(t, pool, `update daybook.personal_key set wrapped = (select wrapped from daybook.personal_key where subject = 'customer-2') where subject = 'customer-1'`)
	if _, err := open(t, pool, kek).Unseal(t.Context(), s); err == nil || !strings.Contains(err.Error(), "unwrap the key of customer-1") {
		t.Errorf("opened with another's key: %v", err)
	}
}

func newKey() []byte {
	b := make([]byte, keyBytes)
	_, _ = rand.Read(b)
	return b
}

func open(t *testing.T, pool *pgxpool.Pool, kek []byte, others ...[]byte) *Keys {
	t.Helper()
	k, err := Open(t.Context(), pool, kek, others...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t *testing.T, k *Keys, subject, field, plaintext string) es.Sealed {
	t.Helper()
	s, err := k.Seal(t.Context(), subject, stream, "order.placed", field, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func erase(t *testing.T, pool *pgxpool.Pool, subject string) {
	t.Helper()
	exec(t, pool, "update daybook.personal_key set wrapped = null, erased_at = now() where subject = $1", subject)
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "select count(*) from daybook.personal_key").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// counter sees the statements of a pool.
type counter struct {
	mu         sync.Mutex
	n          int // begin and commit aside
	statements []string
}

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	c.count(q.SQL)
	return ctx
}

func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	for _, q := range b.Batch.QueuedQueries {
		c.count(q.SQL)
	}
	return ctx
}

func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (c *counter) count(sql string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statements = append(c.statements, sql)
	if sql != "begin" && sql != "commit" {
		c.n++
	}
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n, c.statements = 0, nil
}

func (c *counter) index(part string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.IndexFunc(c.statements, func(s string) bool { return strings.Contains(s, part) })
}
