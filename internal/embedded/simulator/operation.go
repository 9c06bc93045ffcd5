package simulator

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
)

// request is the body of every POST to charges; which fields count depends on the kind.
type request struct {
	Amount   int64    `json:"amount,omitempty"`
	Currency string   `json:"currency,omitempty"`
	Token    string   `json:"token,omitempty"`
	Metadata Metadata `json:"metadata"`
}

const mostMoney = 1<<53 - 1

func (r request) check(k Kind) *problem {
	bad := func(field, why string) *problem { return badRequest(field + " " + why) }
	switch {
	case r.Metadata.EffectID == "":
		return bad("metadata.effect_id", "is missing")
	case r.Metadata.OrderID == "":
		return bad("metadata.order_id", "is missing")
	case k == Void:
		return nil
	case r.Amount <= 0 || r.Amount > mostMoney:
		return bad("amount", "is not between 1 and 2^53-1 minor units")
	case !currencyCode(r.Currency):
		return bad("currency", "is not three capital letters")
	case k == Authorise && r.Token == "":
		return bad("token", "is missing")
	}
	return nil
}

func currencyCode(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return len(s) == 3
}

func (r request) fingerprint(k Kind, chargeID string) string {
	sum := sha256.New()
	_ = json.NewEncoder(sum).Encode([]any{k, chargeID, r}) // strings and numbers only, and a hash takes all
	return hex.EncodeToString(sum.Sum(nil))
}

// outcome of a request: an answer, a problem, or deliberate silence.
type outcome struct {
	answer  Answer
	problem *problem
	silent  bool
}

// perform does what a request asks for, once per key.
func (s *Server) perform(k Kind, key, chargeID string, r request) outcome {
	if p := r.check(k); p != nil {
		return outcome{problem: p}
	}
	switch _, ok, p := s.book.charge(chargeID); {
	case p != nil:
		return outcome{problem: p}
	case !ok && k != Authorise:
		return outcome{problem: &problem{404, "not_found", "there is no charge " + chargeID}}
	}
	fingerprint := r.fingerprint(k, chargeID)
	stored, p := s.book.enter(key, fingerprint, chargeID, s.now().Add(-s.cfg.KeyLifetime))
	if p != nil {
		return outcome{problem: p}
	}
	if stored != nil {
		answer, p := s.book.answer(*stored, s.now())
		return outcome{answer: answer, problem: p, silent: stored.Silent && p == nil}
	}
	defer s.book.leave(key, chargeID)

	op := Operation{Key: key, Fingerprint: fingerprint, Answer: Answer{Kind: k, OrderID: r.Metadata.OrderID, EffectID: r.Metadata.EffectID, Currency: r.Currency}}
	var c Charge
	if k == Authorise {
		b := behaviourOf(r.Token)
		if b.silent && b.uncharged || !s.pause(b.after) {
			return outcome{silent: true}
		}
		op.At, op.Silent = s.now(), b.silent
		c = authorise(b, r, &op)
	} else {
		op.At = s.now()
		if c, _, p = s.book.charge(chargeID); p != nil {
			return outcome{problem: p}
		}
		c = c.at(op.At)
		op.Answer.ID, op.Answer.Currency = c.ID, c.Currency
		if p := settle(k, &c, r, &op.Answer); p != nil {
			return outcome{problem: p}
		}
	}
	at, err := s.ledger.append(change{c, &op})
	switch {
	case errors.Is(err, errFull): // the server's health says it
		return outcome{problem: fullProblem()}
	case err != nil:
		s.log.Error("the simulator cannot keep a charge", "error", err)
		return outcome{silent: true} // it may stand, so nothing may be said
	}
	s.book.apply(change{c, &op}, at)
	s.count(op.Answer)
	failpoint.Hit(failpoint.SimulatorChargeAfter)
	return outcome{answer: op.Answer, silent: op.Silent}
}

// authorise makes a new charge.
func authorise(b behaviour, r request, op *Operation) Charge {
	c := Charge{
		ID: "ch_" + rand.Text(), Metadata: r.Metadata, Currency: r.Currency, CreatedAt: op.At,
		Asked: r.Amount + b.excess, FailVoids: b.failVoids,
	}
	a := &op.Answer
	a.ID = c.ID
	switch {
	case b.decline != "":
		c.Status, c.Code = StatusDeclined, b.decline
		a.Result, a.Code = Declined, b.decline
	case b.action:
		c.Status = StatusActionRequired
		a.Result, a.Amount = ActionRequired, c.Asked
	case b.late > 0:
		c.Status, c.DueAt = StatusProcessing, op.At.Add(b.late)
		a.Result, a.Amount = Processing, c.Asked
	default:
		c.authorise(c.Asked, op.At)
		a.Result, a.Amount, a.ExpiresAt = Approved, c.Authorised, c.ExpiresAt
	}
	return c
}

// settle voids, captures or refunds c, and says so in a. A problem changes nothing and is not stored.
func settle(k Kind, c *Charge, r request, a *Answer) *problem {
	refuse := func(code string) *problem { a.Result, a.Code = Declined, code; return nil }
	if c.Status == StatusProcessing {
		return &problem{409, "charge_processing", "the charge has no outcome yet"}
	}
	if k != Void && r.Currency != c.Currency {
		return refuse("currency_mismatch")
	}
	a.Result = Approved
	switch k {
	case Void:
		switch c.Status {
		case StatusActionRequired:
			c.Status, c.Code = StatusDeclined, cancelled
		case StatusCaptured, StatusRefunded:
			return refuse("already_captured")
		case StatusAuthorised:
			if c.FailVoids > 0 {
				c.FailVoids--
				return refuse(voidFailed)
			}
			a.Amount = c.open()
			c.Status, c.Voided = StatusVoided, c.Voided+a.Amount
		}
	case Capture:
		if r.Amount > c.open() {
			return refuse("amount_too_large")
		}
		a.Amount = r.Amount
		c.Status, c.Captured = StatusCaptured, c.Captured+r.Amount
	case Refund:
		if r.Amount > c.Captured-c.Refunded {
			return refuse("amount_too_large")
		}
		a.Amount = r.Amount
		if c.Refunded += r.Amount; c.Refunded == c.Captured {
			c.Status = StatusRefunded
		}
	}
	return nil
}

// act completes or fails a 3-D Secure action. Saying the same twice is no error.
func (s *Server) act(attempt string, approve bool) (Charge, *problem) {
	id, p := s.book.attempt(attempt)
	switch {
	case p != nil:
		return Charge{}, p
	case id == "":
		return Charge{}, &problem{404, "not_found", "there is no attempt " + attempt}
	}
	defer s.book.hold(id)()
	c, _, p := s.book.charge(id)
	if p != nil {
		return c, p
	}
	c = c.at(s.now())
	switch {
	case c.Status == StatusActionRequired:
	case approve && c.Status == StatusAuthorised, !approve && c.Code == actionFailed:
		return c, nil
	default:
		return c, &problem{409, "no_action", "the charge awaits no action, it is " + string(c.Status)}
	}
	if approve {
		c.authorise(c.Asked, s.now())
	} else {
		c.Status, c.Code = StatusDeclined, actionFailed
	}
	at, err := s.ledger.append(change{Charge: c})
	switch {
	case errors.Is(err, errFull):
		return c, fullProblem()
	case err != nil:
		s.log.Error("the simulator cannot keep an action", "error", err)
		return c, &problem{500, "ledger", "the ledger cannot be written"}
	}
	s.book.apply(change{Charge: c}, at)
	return c, nil
}

// pause waits as a token asked for; false: the server stopped before.
func (s *Server) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}
