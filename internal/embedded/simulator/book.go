package simulator

import (
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"
)

// book knows where everything is in the ledger. In memory is an index alone: some 100 bytes for each charge. Only what has been synced is in it.
type book struct {
	log  *slog.Logger
	read func(ref) (change, error)

	mu       sync.Mutex
	entries  []ref             // every change
	latest   []uint32          // of each charge, in the order of their first entries: its newest entry
	charges  map[name]uint32   // their places in latest
	byKey    map[name]uint32   // the newest entry of each
	byEffect map[name]uint32   // the first entry of each
	repeated map[name][]uint32 // further ones, in order

	running map[string]string        // key → fingerprint of the request at work
	busy    map[string]chan struct{} // charge → closed when its operation has ended
}

// name is a charge's id, a key or an effect id, in 12 bytes: of a billion, two are the same with a chance of 10⁻¹¹.
type name [12]byte

func named(text string) name {
	sum := sha256.Sum256([]byte(text))
	return name(sum[:])
}

func newBook(log *slog.Logger) *book {
	return &book{
		log: log, charges: map[name]uint32{}, byKey: map[name]uint32{}, byEffect: map[name]uint32{}, repeated: map[name][]uint32{},
		running: map[string]string{}, busy: map[string]chan struct{}{},
	}
}

// apply takes a change that is on disk.
func (b *book) apply(c change, at ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	entry := uint32(len(b.entries)) //nolint:gosec // a ledger of so many is larger than a disk
	b.entries = append(b.entries, at)
	id := named(c.Charge.ID)
	if place, known := b.charges[id]; known {
		b.latest[place] = entry
	} else {
		b.charges[id] = uint32(len(b.latest)) //nolint:gosec // as above
		b.latest = append(b.latest, entry)
	}
	if op := c.Operation; op != nil {
		b.byKey[named(op.Key)] = entry
		effect := named(op.Answer.EffectID)
		if _, before := b.byEffect[effect]; before {
			b.repeated[effect] = append(b.repeated[effect], entry)
		} else {
			b.byEffect[effect] = entry
		}
	}
}

// at reads changes back.
func (b *book) at(refs ...ref) ([]change, *problem) {
	found := make([]change, len(refs))
	for i, r := range refs {
		var err error
		if found[i], err = b.read(r); err != nil {
			b.log.Error("the simulator cannot read its ledger", "error", err)
			return nil, &problem{500, "ledger", "the ledger cannot be read"}
		}
	}
	return found, nil
}

func (b *book) charge(id string) (c Charge, ok bool, p *problem) {
	var at ref
	b.mu.Lock()
	place, ok := b.charges[named(id)]
	if ok {
		at = b.entries[b.latest[place]]
	}
	b.mu.Unlock()
	if !ok {
		return c, false, nil
	}
	found, p := b.at(at)
	if p != nil {
		return c, false, p
	}
	return found[0].Charge, true, nil
}

// used gives the newest operation of a key, nil if there is none. The caller holds b.mu.
func (b *book) used(key string) (*Operation, *problem) {
	entry, ok := b.byKey[named(key)]
	if !ok {
		return nil, nil
	}
	found, p := b.at(b.entries[entry])
	if p != nil {
		return nil, p
	}
	return found[0].Operation, nil
}

// enter lets one request at a time work under a key and on a charge ("" = a new one). A key that was used gives
// its operation instead, and nothing to leave.
func (b *book) enter(key, fingerprint, chargeID string, rememberedFrom time.Time) (*Operation, *problem) {
	for {
		b.mu.Lock()
		op, p := b.used(key)
		used := op != nil && op.At.After(rememberedFrom)
		atWork, running := b.running[key]
		wait, busy := b.busy[chargeID]
		switch {
		case p != nil:
			b.mu.Unlock()
			return nil, p
		case used && op.Fingerprint == fingerprint:
			b.mu.Unlock()
			return op, nil
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
func (b *book) answer(op Operation, now time.Time) (Answer, *problem) {
	if op.Answer.Result != Processing {
		return op.Answer, nil
	}
	c, _, p := b.charge(op.Answer.ID)
	return op.of(c.at(now)), p
}

// operations gives everything that was done for an effect id, in order of entry.
func (b *book) operations(effectID string) ([]change, *problem) {
	effect := named(effectID)
	b.mu.Lock()
	first, ok := b.byEffect[effect]
	var refs []ref
	if ok {
		for _, entry := range append([]uint32{first}, b.repeated[effect]...) {
			refs = append(refs, b.entries[entry])
		}
	}
	b.mu.Unlock()
	return b.at(refs...)
}

// lookup gives everything that was done for an effect id, as it is now.
func (b *book) lookup(effectID string, now time.Time) ([]Answer, *problem) {
	answers := []Answer{}
	done, p := b.operations(effectID)
	for _, d := range done {
		c, _, p := b.charge(d.Operation.Answer.ID)
		if p != nil {
			return nil, p
		}
		answers = append(answers, d.Operation.of(c.at(now)))
	}
	return answers, p
}

// attempt finds the charge of an action: by its own id, or by the effect id of its authorisation. Empty: there is none.
func (b *book) attempt(id string) (string, *problem) {
	b.mu.Lock()
	_, ok := b.charges[named(id)]
	b.mu.Unlock()
	if ok {
		return id, nil
	}
	done, p := b.operations(id)
	if p != nil || len(done) == 0 {
		return "", p
	}
	return done[len(done)-1].Operation.Answer.ID, nil
}

// filter narrows the ledger; empty fields match all.
type filter struct {
	order, effect, reference string
	status                   Status
	after                    string // a charge's id
	limit                    int    // 0: none
}

const listed = 256 // charges that list looks at in one go

// list gives charges in order of entry.
func (b *book) list(f filter, now time.Time) ([]Charge, *problem) {
	found := []Charge{}
	for refs := b.next(f.after); len(refs) > 0; refs = b.next(f.after) {
		for _, r := range refs {
			if f.limit > 0 && len(found) == f.limit {
				return found, nil
			}
			all, p := b.at(r)
			if p != nil {
				return nil, p
			}
			c := all[0].Charge.at(now)
			f.after = c.ID
			if (f.order == "" || f.order == c.Metadata.OrderID) && (f.effect == "" || f.effect == c.Metadata.EffectID) &&
				(f.reference == "" || f.reference == c.ID) && (f.status == "" || f.status == c.Status) {
				found = append(found, c)
			}
		}
	}
	return found, nil
}

// next is where the charges are that come after one, or the first ones.
func (b *book) next(after string) (refs []ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := 0
	if place, ok := b.charges[named(after)]; ok {
		from = int(place) + 1
	}
	for _, entry := range b.latest[from:min(from+listed, len(b.latest))] {
		refs = append(refs, b.entries[entry])
	}
	return refs
}
