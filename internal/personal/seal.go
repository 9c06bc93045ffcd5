package personal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/daybook-dev/daybook/kit/es"
)

// Seal encrypts plaintext for a field of an event of that type in stream, under the subject's key, which is made if
// there is none. Nothing sealed is nothing: the zero es.Sealed. Errors: es.ErrErased, es.ErrNUL.
func (k *Keys) Seal(ctx context.Context, subject string, stream es.StreamID, eventType, field, plaintext string) (es.Sealed, error) {
	switch {
	case plaintext == "":
		return es.Sealed{}, nil
	case subject == "":
		return es.Sealed{}, errors.New(noSubject)
	case strings.IndexByte(plaintext, 0) >= 0:
		return es.Sealed{}, fmt.Errorf("seal %s of %s: %w", field, eventType, es.ErrNUL)
	}
	key, ok := k.recall(subject)
	if !ok {
		found, err := k.ensure(ctx, []string{subject})
		if err != nil {
			return es.Sealed{}, fmt.Errorf("seal %s of %s: %w", field, eventType, err)
		}
		key = found[subject]
	}
	if key.cipher == nil {
		return es.Sealed{}, fmt.Errorf("seal %s of %s for %s: %w", field, eventType, subject, es.ErrErased)
	}
	s := es.Sealed{Subject: subject, KeyID: key.id, Stream: stream.String(), Type: eventType, Field: field}
	var err error
	if s.Ciphertext, err = key.cipher.Encrypt([]byte(plaintext), heading(s)); err != nil {
		return es.Sealed{}, fmt.Errorf("seal %s of %s: %w", field, eventType, err)
	}
	return s, nil
}

// Unseal gives the plaintext of s. The zero es.Sealed is "". Errors: es.ErrErased, es.ErrNoKey, or that s was altered.
func (k *Keys) Unseal(ctx context.Context, s es.Sealed) (string, error) {
	if s.IsZero() {
		return "", nil
	}
	key, ok := k.recall(s.Subject)
	if !ok || key.id != s.KeyID { // another id: a key that came back from a backup, perhaps
		found, err := k.read(ctx, []string{s.Subject})
		if err != nil {
			return "", fmt.Errorf("open %s: %w", described(s), err)
		}
		key, ok = found[s.Subject]
	}
	switch {
	case ok && key.cipher == nil: // whichever of its keys it was sealed with
		return "", fmt.Errorf("open %s: %w", described(s), es.ErrErased)
	case !ok || key.id != s.KeyID:
		var err error
		if key.cipher, err = k.former(ctx, s); err != nil {
			return "", fmt.Errorf("open %s: %w", described(s), err)
		}
		if key.cipher == nil {
			return "", fmt.Errorf("open %s: %w", described(s), es.ErrNoKey)
		}
	}
	plaintext, err := key.cipher.Decrypt(s.Ciphertext, heading(s))
	if err != nil {
		return "", fmt.Errorf("open %s: it is not what was sealed: %w", described(s), err)
	}
	return string(plaintext), nil
}

func described(s es.Sealed) string {
	return fmt.Sprintf("%s of %s in %s, of %s under key %s", s.Field, s.Type, s.Stream, s.Subject, s.KeyID)
}

// heading is the additional authenticated data: each part with its length before it, so that no two headings are alike.
func heading(s es.Sealed) []byte {
	return framed("daybook sealed 1", s.Subject, s.KeyID, s.Stream, s.Type, s.Field)
}

func framed(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}
