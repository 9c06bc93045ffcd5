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

// insert makes keys for those subjects that have none, waits until they are on disk, whatever the server's own setting is,
// and reads them back, in one round trip. The second process keeps the first one's key.
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
	conn, err := k.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("write keys of personal data: %w", err)
	}
	defer conn.Release() // which closes one that is inside a transaction
	asked := k.now()
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue("set local synchronous_commit = on")
	b.Queue(`insert into daybook.personal_key (subject, key_id, kek_id, wrapped)
		select subject, key_id, $3, wrapped from unnest($1::text[], $2::text[], $4::bytea[]) as made (subject, key_id, wrapped)
		on conflict (subject) do nothing`, subjects, ids, k.ring.first(), wrapped)
	b.Queue("commit")
	b.Queue(selectKeys, subjects)
	res := conn.SendBatch(ctx, b)
	for i := 0; i < b.Len()-1 && err == nil; i++ {
		_, err = res.Exec()
	}
	if err == nil {
		var rows pgx.Rows
		if rows, err = res.Query(); err == nil {
			made, err = k.remember(asked, rows)
		}
	}
	if closing := res.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, fmt.Errorf("write keys of personal data: %w", err)
	}
	return made, nil
}
