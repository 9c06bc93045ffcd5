package es

import (
	"context"
	"errors"
)

// Sealed is personal data under its subject's key. It carries what it was sealed for, its additional
// authenticated data, so that it may be copied from event to event to row and still be opened.
type Sealed struct {
	Subject    string `json:"subject"` // customer-C, guest-O or staff
	KeyID      string `json:"key"`
	Stream     string `json:"stream"`
	Type       string `json:"type"`
	Field      string `json:"field"`
	Ciphertext []byte `json:"ct"`
}

func (s Sealed) IsZero() bool { return len(s.Ciphertext) == 0 && s.Subject == "" }

// Sealer seals personal data, for one field of one event, before a command sees it.
type Sealer interface {
	Seal(ctx context.Context, subject string, stream StreamID, eventType, field, plaintext string) (Sealed, error)
}

// Opener opens what a Sealer sealed. Its errors do not hold what was sealed.
type Opener interface {
	Unseal(ctx context.Context, s Sealed) (string, error)
}

var (
	// ErrErased says that the subject's key was destroyed; what was sealed with it is gone.
	ErrErased = errors.New("personal data was erased")
	// ErrNoKey says that the key that a value was sealed with is missing, and was not erased.
	ErrNoKey = errors.New("no key for this personal data")
)
