package topic

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// The list is read again at most every ten seconds, whatever comes, and stays as it was while it cannot be read.
func TestKeysAreReadAgainAtMostEveryTenSeconds(t *testing.T) {
	t.Parallel()
	secret := func(letter byte) []byte { return bytes.Repeat([]byte{letter}, 32) }
	file, reads := [][]byte{secret('a')}, 0
	var broken error
	keys, err := NewKeys(func() ([][]byte, error) { reads++; return file, broken }, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	keys.now = func() time.Time { return now }
	keys.looked.Store(now.UnixNano())
	stranger, err := NewKeys(func() ([][]byte, error) { return [][]byte{secret('b')}, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := Encode(sample(), 0, "i1", nil)
	if err := stranger.Sign(&m); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if err := keys.Verify(m); !errors.Is(err, UnknownKey) {
			t.Fatal(err)
		}
	}
	if reads != 1 {
		t.Fatalf("read %d times within no time", reads)
	}
	file = [][]byte{secret('b'), secret('a')}
	now = now.Add(rereadEvery)
	broken = errors.New("not mounted")
	if err := keys.Verify(m); !errors.Is(err, UnknownKey) || reads != 2 {
		t.Fatalf("a list that cannot be read: %v, read %d times", err, reads)
	}
	broken = nil
	now = now.Add(rereadEvery)
	if err := keys.Verify(m); err != nil || reads != 3 {
		t.Fatalf("the key was added: %v, read %d times", err, reads)
	}
	signed := Encode(sample(), 0, "i1", nil)
	if err := keys.Sign(&signed); err != nil {
		t.Fatal(err)
	}
	if err := stranger.Verify(signed); err != nil {
		t.Errorf("the first of the list does not sign: %v", err)
	}
}

func TestAnInstallationWithoutKeysIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := NewKeys(func() ([][]byte, error) { return nil, nil }, nil); err == nil {
		t.Error("an empty list is taken")
	}
}
