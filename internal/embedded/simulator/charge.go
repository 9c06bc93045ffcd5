package simulator

import "time"

// Result is how an operation ended, or how far it is.
type Result string

// Results.
const (
	Approved       Result = "approved"
	Declined       Result = "declined"
	ActionRequired Result = "action_required"
	Processing     Result = "processing"
)

// Kind of an operation.
type Kind string

// Kinds of operations.
const (
	Authorise Kind = "authorise"
	Void      Kind = "void"
	Capture   Kind = "capture"
	Refund    Kind = "refund"
)

// Status of a charge.
type Status string

// Statuses of a charge.
const (
	StatusAuthorised     Status = "authorised"
	StatusDeclined       Status = "declined"
	StatusActionRequired Status = "action_required"
	StatusProcessing     Status = "processing"
	StatusVoided         Status = "voided"
	StatusCaptured       Status = "captured" // in part, or all
	StatusRefunded       Status = "refunded" // all that was captured
)

// Metadata is what the merchant attached to a request.
type Metadata struct {
	OrderID  string `json:"order_id"`
	EffectID string `json:"effect_id"`
	Attempt  int    `json:"attempt"`
}

// Charge is one authorisation and what became of it. Amounts are minor units.
type Charge struct {
	ID         string    `json:"id"`
	Metadata   Metadata  `json:"metadata"`
	Status     Status    `json:"status"`
	Code       string    `json:"code,omitempty"` // why it was declined
	Currency   string    `json:"currency"`
	Authorised int64     `json:"authorised"` // 0 until, and unless, it is
	Captured   int64     `json:"captured"`
	Voided     int64     `json:"voided"`
	Refunded   int64     `json:"refunded"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	DueAt      time.Time `json:"due_at,omitzero"` // when what is processing will have been approved
	Asked      int64     `json:"asked"`           // what an action or a late approval will authorise
	FailVoids  int       `json:"fail_voids,omitempty"`
}

// at is the charge as of a moment: what was due has happened.
func (c Charge) at(now time.Time) Charge {
	if c.Status == StatusProcessing && !now.Before(c.DueAt) {
		c.authorise(c.Asked, c.DueAt)
	}
	return c
}

func (c *Charge) authorise(amount int64, at time.Time) {
	c.Status, c.Authorised, c.ExpiresAt, c.DueAt = StatusAuthorised, amount, at.Add(authorisationLasts), time.Time{}
}

// open is what is still held on the card.
func (c Charge) open() int64 {
	if c.Status == StatusAuthorised || c.Status == StatusCaptured {
		return c.Authorised - c.Captured - c.Voided
	}
	return 0
}

const authorisationLasts = 7 * 24 * time.Hour

// Operation is one request that took effect.
type Operation struct {
	Key         string    `json:"key"`
	Fingerprint string    `json:"fingerprint"`
	At          time.Time `json:"at"`
	Silent      bool      `json:"silent,omitempty"` // never answered
	Answer      Answer    `json:"answer"`           // the first, which a repeat of the key is given
}

// Answer is what a request, its repeat and a lookup give.
type Answer struct {
	ID        string    `json:"id"` // of the charge
	Kind      Kind      `json:"kind"`
	EffectID  string    `json:"effect_id"`
	OrderID   string    `json:"order_id"`
	Result    Result    `json:"result"`
	Code      string    `json:"code,omitempty"`
	Detail    string    `json:"detail,omitempty"` // of the code, for people
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	ActionURL string    `json:"action_url,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// of gives what the operation came to, as its charge has it now.
func (o Operation) of(c Charge) Answer {
	a := o.Answer
	if a.Kind != Authorise || a.Result == Approved || a.Result == Declined {
		return a
	}
	switch c.Status {
	case StatusActionRequired, StatusProcessing:
	case StatusDeclined:
		a.Result, a.Code, a.Amount, a.ActionURL = Declined, c.Code, 0, ""
	default:
		a.Result, a.Amount, a.ExpiresAt, a.ActionURL = Approved, c.Authorised, c.ExpiresAt, ""
	}
	return a
}
