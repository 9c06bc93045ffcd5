package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const relayKey = "relay.key"

// RelayKeys makes relay.key in dir if it is not there, and gives what reads it: the keys by which the relay signs its
// messages and consumers verify them. The first signs, all verify. To change the key, add the new one below the old one on
// every machine, then move it to the first line, then remove the old one. Only the relay, the engines that read the topic and the
// doctor need it.
func RelayKeys(dir string) (read func() ([][]byte, error), err error) {
	path := filepath.Join(dir, relayKey)
	if _, err := keys(dir, "", relayKey); err != nil {
		return nil, fmt.Errorf("relay key: %w", err)
	}
	return func() ([][]byte, error) { return keys(dir, path, "") }, nil
}

// KnownRelayKeys gives what read gives as long as this Postgres knows one of the keys, else ErrOther and the ways out. Postgres is asked
// whenever the keys have changed. In a process that signs, the first key becomes the known one, so that the others can be removed.
func KnownRelayKeys(pool *pgxpool.Pool, read func() ([][]byte, error), signs bool) func() ([][]byte, error) {
	var known [][]byte
	return func() ([][]byte, error) {
		all, err := read()
		if err != nil || len(all) == 0 || slices.EqualFunc(all, known, bytes.Equal) {
			return all, err
		}
		const within = 5 * time.Second
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err = Verify(ctx, pool, Relay, all[0], all[1:]...); err == nil && signs {
			err = Replace(ctx, pool, Relay, all[0], all[1:]...)
		}
		if err != nil {
			return nil, otherRelayKey(err)
		}
		known = all
		return all, nil
	}
}

// RecogniseRelayKeys is ErrOther if this Postgres knows none of the keys, but some other.
func RecogniseRelayKeys(ctx context.Context, pool *pgxpool.Pool, read func() ([][]byte, error)) error {
	all, err := read()
	if err != nil || len(all) == 0 {
		return err
	}
	return otherRelayKey(Recognise(ctx, pool, Relay, all[0], all[1:]...))
}

func otherRelayKey(err error) error {
	if !errors.Is(err, ErrOther) { // nil too
		return err
	}
	return fmt.Errorf("%w: put the former key back into %s, below the new one if it is being changed; if it is lost, "+
		"`daybook recover` has the log published anew and signed with the key that is there", err, relayKey)
}
