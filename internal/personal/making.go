package personal

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/groupcommit"
)

// wanted is the subjects that somebody needs keys of, and then the keys, and perhaps others.
type wanted struct {
	subjects []string
	made     map[string]known
}

const makeWithin = 30 * time.Second

// together lets those who need new keys at the same time share a transaction, and the disk that it waits for.
func together(insert func(ctx context.Context, subjects []string) (map[string]known, error)) *groupcommit.Group[*wanted] {
	return groupcommit.New(groupcommit.Config[*wanted]{
		Size: func(w *wanted) int { return len(w.subjects) }, Most: atOnce,
		Write: func(ctx context.Context, batch []*wanted) error {
			ctx, cancel := context.WithTimeout(ctx, makeWithin)
			defer cancel()
			var subjects []string
			for _, w := range batch {
				subjects = append(subjects, w.subjects...)
			}
			slices.Sort(subjects)
			made, err := insert(ctx, slices.Compact(subjects))
			for _, w := range batch {
				w.made = made
			}
			return err
		},
	})
}

// insert makes keys for those subjects that have none, reads them back, and waits until they are on disk, whatever the server's own setting
// is, in one round trip: a batch is a transaction. The second process keeps the first one's key.
func (k *Keys) insert(ctx context.Context, subjects []string) (made map[string]known, err error) {
	subjects = slices.Sorted(slices.Values(subjects)) // two processes that make the same ones do not deadlock
	ids, wrapped := make([]string, len(subjects)), make([][]byte, len(subjects))
	for i, subject := range subjects {
		secret := make([]byte, keyBytes)
		random := make([]byte, 12)
		_, _ = rand.Read(secret) // never fails
		_, _ = rand.Read(random)
		ids[i] = base64.RawURLEncoding.EncodeToString(random)
		if wrapped[i], err = k.ring.wrap(subject, ids[i], secret); err != nil {
			return nil, err
		}
	}
	asked := k.now()
	var there []row
	b := &pgx.Batch{}
	b.Queue("select set_config('synchronous_commit', 'on', true)")
	b.Queue(`insert into daybook.personal_key (subject, key_id, kek_id, wrapped)
		select subject, key_id, $3, wrapped from unnest($1::text[], $2::text[], $4::bytea[]) as made (subject, key_id, wrapped)
		on conflict (subject) do nothing`, subjects, ids, k.ring.first(), wrapped)
	b.Queue(selectKeys, subjects).Query(func(rows pgx.Rows) (err error) {
		there, err = pgx.CollectRows(rows, pgx.RowToStructByName[row])
		return err
	})
	if err := k.pool.SendBatch(ctx, b).Close(); err != nil { // nil: it is committed
		return nil, fmt.Errorf("write keys of personal data: %w", err)
	}
	return k.remember(asked, there)
}
