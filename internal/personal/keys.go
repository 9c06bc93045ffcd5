package personal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/daybook-dev/daybook/internal/groupcommit"
)

const (
	keyBytes  = 32
	remember  = 30 * time.Second // how long a key may be used without asking for it again
	keyWeight = 1 << 10          // bytes that a key in memory takes
	atOnce    = 5_000            // subjects per statement
	noSubject = "personal data needs a subject"
)

// Keys seals and opens. It is safe for concurrent use.
type Keys struct {
	pool *pgxpool.Pool
	ring ring
	now  func() time.Time

	mu    sync.Mutex
	known map[string]known // by subject
	most  int              // of them

	makes *groupcommit.Group[*wanted]
}

// known is what Postgres said of a subject's key.
type known struct {
	id     string
	cipher *subtle.AESGCM // nil: erased
	until  time.Time
}

// Open gives the keys of this Postgres, whose key-encryption key must be kek or one of others. kek wraps new keys; all
// of them unwrap. Each is 32 bytes.
func Open(ctx context.Context, pool *pgxpool.Pool, kek []byte, others ...[]byte) (*Keys, error) {
	r, err := newRing(kek, others)
	if err != nil {
		return nil, err
	}
	if err := r.fits(ctx, pool); err != nil {
		return nil, err
	}
	k := &Keys{pool: pool, ring: r, now: time.Now, known: map[string]known{}, most: DefaultHold / keyWeight}
	k.makes = together(k.insert)
	if err := k.rewrapAll(ctx, former); err != nil { // a lost key-encryption key may be among them again
		return nil, fmt.Errorf("former keys of personal data: %w", err)
	}
	return k, nil
}

// DefaultHold is how many bytes of keys are kept in memory.
const DefaultHold = 32 << 20

// Hold sets how many bytes of keys are kept in memory.
func (k *Keys) Hold(bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.most = int(bytes / keyWeight)
}

// Check tells whether keys can be read now.
func (k *Keys) Check(ctx context.Context) error {
	var made bool
	if err := k.pool.QueryRow(ctx, `select exists (select 1 from daybook.personal_key limit 1)`).Scan(&made); err != nil {
		return fmt.Errorf("read the keys of personal data: %w", err)
	}
	return nil
}

// Prepare makes the keys that subjects lack and reads them all, in few statements: what an import does before it seals
// a thousand orders. Erased subjects are no error here. For 30 s Seal and Unseal then need no look-up.
func (k *Keys) Prepare(ctx context.Context, subjects ...string) error {
	for part := range slices.Chunk(k.unknown(subjects), atOnce) {
		if _, err := k.ensure(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// Load reads the keys of subjects in few statements and makes none: what a list does before it opens a page of rows.
func (k *Keys) Load(ctx context.Context, subjects ...string) error {
	for part := range slices.Chunk(k.unknown(subjects), atOnce) {
		if _, err := k.read(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// ensure reads the keys of subjects, which are distinct, and makes those that are missing. One subject alone is likely to be new: making its
// key reads one that is there.
func (k *Keys) ensure(ctx context.Context, subjects []string) (map[string]known, error) {
	found := map[string]known{}
	if len(subjects) > 1 {
		var err error
		if found, err = k.read(ctx, subjects); err != nil {
			return nil, err
		}
	}
	missing := slices.DeleteFunc(slices.Clone(subjects), func(s string) bool { _, ok := found[s]; return ok })
	if len(missing) == 0 {
		return found, nil
	}
	want := &wanted{subjects: missing}
	if err := k.makes.Do(ctx, want); err != nil {
		return nil, err
	}
	made := want.made // ours, or those that another call made first
	for _, s := range missing {
		if _, ok := made[s]; !ok {
			return nil, fmt.Errorf("key of %s: made, and not there", s)
		}
	}
	for _, s := range missing {
		found[s] = made[s]
	}
	return found, nil
}

// unknown gives those subjects, each once, whose key has to be asked for.
func (k *Keys) unknown(subjects []string) []string {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	seen := map[string]bool{"": true} // the zero es.Sealed has no subject and needs no key
	for _, s := range subjects {
		if key, ok := k.known[s]; !seen[s] && (!ok || !now.Before(key.until)) {
			out = append(out, s)
		}
		seen[s] = true
	}
	return out
}

func (k *Keys) recall(subject string) (known, bool) {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.known[subject]
	return key, ok && now.Before(key.until)
}

type row struct {
	Subject string
	KeyID   string
	KekID   string
	Wrapped []byte // nil: erased
}

// read gives what Postgres has of subjects, and remembers it.
func (k *Keys) read(ctx context.Context, subjects []string) (map[string]known, error) {
	asked := k.now() // a key may be destroyed while we read it
	rows, err := k.pool.Query(ctx, selectKeys, subjects)
	if err != nil {
		return nil, fmt.Errorf("keys of personal data: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		return nil, fmt.Errorf("keys of personal data: %w", err)
	}
	return k.remember(asked, found)
}

const selectKeys = "select subject, key_id, kek_id, wrapped from daybook.personal_key where subject = any($1)"

// remember unwraps keys that were asked for at a moment.
func (k *Keys) remember(asked time.Time, found []row) (_ map[string]known, err error) {
	fresh := make(map[string]known, len(found))
	for _, r := range found {
		key := known{id: r.KeyID, until: asked.Add(remember)}
		if r.Wrapped != nil {
			if key.cipher, err = k.ring.cipher(r); err != nil {
				return nil, err
			}
		}
		fresh[r.Subject] = key
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.makeRoom(asked, len(fresh))
	for subject, key := range fresh {
		if old, ok := k.known[subject]; !ok || old.until.Before(key.until) {
			k.known[subject] = key
		}
	}
	return fresh, nil
}

func (k *Keys) makeRoom(now time.Time, n int) {
	if len(k.known)+n <= k.most {
		return
	}
	for subject, key := range k.known {
		if !now.Before(key.until) {
			delete(k.known, subject)
		}
	}
	if len(k.known)+n > k.most {
		clear(k.known)
	}
}

// durably runs a transaction that is on disk before it is visible, whatever the server's own setting is.
func durably(ctx context.Context, pool *pgxpool.Pool, do func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
			return err
		}
		return do(tx)
	})
	if err != nil {
		return fmt.Errorf("write keys of personal data: %w", err)
	}
	return nil
}
