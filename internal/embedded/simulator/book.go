package simulator

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// book is what the ledger comes to, in memory. Only what has been synced is in it.
type book struct {
	mu       sync.Mutex
	charges  map[string]Charge
	byKey    map[string]Operation   // the newest of each key
	byEffect map[string][]Operation // in order of entry
	entries  uint64

	running map[string]string        // key → fingerprint of the request at work
	busy    map[string]chan struct{} // charge → closed when its operation has ended
}

func newBook() *book {
	return &book{
		charges: map[string]Charge{}, byKey: map[string]Operation{}, byEffect: map[string][]Operation{},
		running: map[string]string{}, busy: map[string]chan struct{}{},
	}
}

// apply takes a change that is on disk.
func (b *book) apply(c change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries++
	charge := c.Charge
	charge.seq = b.entries
	if before, ok := b.charges[charge.ID]; ok {
		charge.seq = before.seq
	}
	b.charges[charge.ID] = charge
	if op := c.Operation; op != nil {
		b.byKey[op.Key] = *op
		b.byEffect[op.Answer.EffectID] = append(b.byEffect[op.Answer.EffectID], *op)
	}
}

func (b *book) charge(id string) (Charge, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.charges[id]
	return c, ok
}

// enter lets one request at a time work under a key and on a charge ("" = a new one). A key that was used gives
// its operation instead, and nothing to leave.
func (b *book) enter(key, fingerprint, chargeID string, rememberedFrom time.Time) (*Operation, *problem) {
	for {
		b.mu.Lock()
		op, used := b.byKey[key]
		used = used && op.At.After(rememberedFrom)
		atWork, running := b.running[key]
		wait, busy := b.busy[chargeID]
		switch {
		case used && op.Fingerprint == fingerprint:
			b.mu.Unlock()
			return &op, nil
		case used, running && atWork != fingerprint:
			b.mu.Unlock()
			return nil, &problem{422, "idempotency_key_reused", "this key was used for another request"}
		case running:
			b.mu.Unlock()
			return nil, &problem{409, "idempotency_in_progress", "the first request with this key is at work"}
		case busy:
			b.mu.Unlock()
			<-wait
			continue
		}
		b.running[key] = fingerprint
		if chargeID != "" {
			b.busy[chargeID] = make(chan struct{})
		}
		b.mu.Unlock()
		return nil, nil
	}
}

func (b *book) leave(key, chargeID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, key)
	if chargeID != "" {
		close(b.busy[chargeID])
		delete(b.busy, chargeID)
	}
}

// hold is enter for what has no key: an action.
func (b *book) hold(chargeID string) (release func()) {
	for {
		b.mu.Lock()
		wait, busy := b.busy[chargeID]
		if !busy {
			b.busy[chargeID] = make(chan struct{})
			b.mu.Unlock()
			return func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				close(b.busy[chargeID])
				delete(b.busy, chargeID)
			}
		}
		b.mu.Unlock()
		<-wait
	}
}

// answer is what a repeat of a stored operation is given: what was said first, except that processing ends.
func (b *book) answer(op Operation, now time.Time) Answer {
	if op.Answer.Result != Processing {
		return op.Answer
	}
	c, _ := b.charge(op.Answer.ID)
	return op.of(c.at(now))
}

// lookup gives everything that was done for an effect id, as it is now.
func (b *book) lookup(effectID string, now time.Time) []Answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	answers := []Answer{}
	for _, op := range b.byEffect[effectID] {
		answers = append(answers, op.of(b.charges[op.Answer.ID].at(now)))
	}
	return answers
}

// attempt finds the charge of an action: by its own id, or by the effect id of its authorisation.
func (b *book) attempt(id string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.charges[id]; ok {
		return id, true
	}
	ops := b.byEffect[id]
	if len(ops) == 0 {
		return "", false
	}
	return ops[len(ops)-1].Answer.ID, true
}

// filter narrows the ledger; empty fields match all.
type filter struct {
	order, effect, reference string
	status                   Status
	after                    string // a charge's id
	limit                    int    // 0: none
}

// list gives charges in order of entry.
func (b *book) list(f filter, now time.Time) []Charge {
	b.mu.Lock()
	defer b.mu.Unlock()
	after := b.charges[f.after].seq
	found := []Charge{}
	for _, c := range b.charges {
		c = c.at(now)
		if c.seq > after && (f.order == "" || f.order == c.Metadata.OrderID) && (f.effect == "" || f.effect == c.Metadata.EffectID) &&
			(f.reference == "" || f.reference == c.ID) && (f.status == "" || f.status == c.Status) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(x, y Charge) int { return cmp.Compare(x.seq, y.seq) })
	if f.limit > 0 && len(found) > f.limit {
		found = found[:f.limit]
	}
	return found
}
