package paymentprovider

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
	"github.com/daybook-dev/daybook/kit/reactor"
)

// moody is a provider in simulated time that loses requests and answers, is down for hours, works on some requests for
// hours, and forgets keys after a day.
type moody struct {
	rand    *rand.Rand
	now     func() time.Time
	calm    bool // from now on it only answers
	bad     bool // it never answers, and is hours late
	down    time.Time
	keys    map[string]used     // idempotency keys
	charges map[string]*charged // by effect id: the metadata
	late    []arrival
	sends   []time.Time
	looks   []time.Time // that found nothing
	twice   bool
}

type used struct {
	at     time.Time
	answer Answer
}

type charged struct {
	answer Answer
	held   int64
}

type arrival struct {
	at  time.Time
	req Request
}

// arrive lets requests come through whose time it was, each at its own.
func (m *moody) arrive() {
	slices.SortFunc(m.late, func(a, b arrival) int { return a.at.Compare(b.at) })
	for len(m.late) > 0 && !m.now().Before(m.late[0].at) {
		m.process(m.late[0].req, m.late[0].at)
		m.late = m.late[1:]
	}
}

func (m *moody) process(r Request, at time.Time) Answer {
	if k, ok := m.keys[r.Key]; ok && at.Sub(k.at) < 24*time.Hour {
		return k.answer
	}
	a := Answer{Outcome: Declined, Code: "card_declined", Reference: "ch_" + r.Key}
	if r.Token == "tok_approve" {
		a = Answer{Outcome: Approved, Reference: "ch_" + r.Key, Amount: r.Amount}
		m.twice = m.twice || m.charges[r.Key] != nil
	}
	m.charges[r.Key] = &charged{a, a.Amount.Amount}
	m.keys[r.Key] = used{at, a}
	return a
}

func (m *moody) Authorise(_ context.Context, r Request) Answer {
	m.arrive()
	m.sends = append(m.sends, m.now())
	if m.calm {
		return m.process(r, m.now())
	}
	if m.now().Before(m.down) {
		return Answer{Detail: "down"}
	}
	mood := m.rand.IntN(12)
	if m.bad {
		mood = 7 - 6*m.rand.IntN(2)
	}
	switch mood {
	case 0:
		m.down = m.now().Add(time.Duration(m.rand.Int64N(int64(30 * time.Hour))))
		return Answer{}
	case 1, 2, 3:
		return Answer{} // never arrives
	case 4, 5:
		m.process(r, m.now())
		return Answer{} // arrives, the answer does not
	case 6:
		m.late = append(m.late, arrival{m.now().Add(time.Duration(m.rand.Int64N(int64(40 * time.Minute)))), r})
		return Answer{Outcome: InProgress}
	case 7:
		m.late = append(m.late, arrival{m.now().Add(time.Duration(m.rand.Int64N(int64(10 * time.Hour)))), r})
		return Answer{}
	}
	return m.process(r, m.now())
}

func (m *moody) Lookup(_ context.Context, key string) Answer {
	m.arrive()
	if !m.calm && (m.now().Before(m.down) || m.rand.IntN(4) == 0) {
		return Answer{}
	}
	if c, ok := m.charges[key]; ok {
		return c.answer
	}
	m.looks = append(m.looks, m.now())
	return Answer{Outcome: NotFound}
}

func (m *moody) Void(_ context.Context, r Request) Answer {
	m.arrive()
	if !m.calm && m.rand.IntN(3) == 0 {
		return Answer{}
	}
	for _, c := range m.charges {
		if c.answer.Reference == r.Reference {
			c.held = 0
		}
	}
	return Answer{Outcome: Approved, Reference: r.Reference}
}

func (m *moody) Capture(context.Context, Request) Answer { panic("not asked for") }
func (m *moody) Refund(context.Context, Request) Answer  { panic("not asked for") }

// TestModel drives one intent after another through simulated days against such a provider, through crashes that lose
// what a try came to, zombies that act on an old memo, and days in which no reactor runs.
func TestModel(t *testing.T) {
	t.Parallel()
	seeds := 500
	if os.Getenv("DAYBOOK_LONG") != "" {
		seeds = 20000
	}
	ends := map[string]int{}
	for seed := range seeds {
		t.Run("", func(t *testing.T) { ends[model(t, uint64(seed))]++ })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d seeds ended %v", seeds, ends)
	for _, end := range []string{"authorised", "declined card_declined", "declined not_found", "declined not_found, then voided"} {
		if ends[end] == 0 {
			t.Errorf("no seed ended %s", end)
		}
	}
}

// open is a row as the engine keeps it.
type open struct {
	task reactor.Task
	memo []byte
	old  []byte // the memo before that
	due  time.Time
}

func model(t *testing.T, seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 7))
	begin := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	now := begin
	clock := func() time.Time { return now }
	store := memory.New()
	store.Now = clock
	catalog, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	h := es.NewHandler(store, catalog, clock)
	provider := &moody{rand: rnd, bad: seed%10 < 2, now: clock, keys: map[string]used{}, charges: map[string]*charged{}}
	r, err := New(Config{Provider: provider, Handler: h, Opener: plain{}, Now: clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	token := "tok_approve"
	if rnd.IntN(4) == 0 {
		token = "tok_decline"
	}
	ref := effect("o", "authorise payment", 1, es.Do)
	c := payment.Authorise{OrderID: "o", Attempt: 1, Amount: events.Money{Amount: asked, Currency: "GBP"}, Token: seal(token)}
	if _, err := es.Handle[payment.Payment](t.Context(), h, c, es.Call{ID: ref.ID, Effect: ref}); err != nil {
		t.Fatal(err)
	}
	var rows []*open
	seen := 0
	var notFoundAt time.Time
	for steps := 0; ; steps++ {
		for _, e := range store.All(0)[seen:] {
			seen++
			switch e.Type {
			case "payment.authorisation_requested", "payment.void_requested":
				rows = append(rows, &open{task: reactor.Task{ID: e.ID, Stream: e.Stream, Revision: e.Revision, Recorded: e.Created, Opened: now}, due: now})
			case "payment.declined":
				var d events.PaymentDeclined
				if json.Unmarshal(e.Data, &d) == nil && d.Code == notFoundCode {
					notFoundAt = e.Created
					checkNotFound(t, provider, now)
				}
			}
		}
		if len(rows) == 0 {
			break
		}
		if steps > 5000 {
			t.Fatal("no end")
		}
		if now.Sub(begin) > 4*24*time.Hour {
			provider.calm = true
		}
		row := rows[0]
		for _, o := range rows {
			if o.due.Before(row.due) {
				row = o
			}
		}
		if row.due.After(now) {
			now = row.due
		}
		if rnd.IntN(40+1000*int(seed%2)) == 0 && !provider.calm {
			now = now.Add(time.Duration(rnd.Int64N(int64(40 * time.Hour)))) // no reactor runs
		}
		if row.attend(t, r, rnd, &now) {
			for i := range rows {
				if rows[i] == row {
					rows = append(rows[:i], rows[i+1:]...)
					break
				}
			}
		}
		if provider.twice {
			t.Fatal("charged twice")
		}
	}
	for len(provider.late) > 0 { // what is still under way comes through
		now = now.Add(time.Minute)
		provider.arrive()
	}
	for _, at := range provider.sends {
		if at.Sub(begin) >= 20*time.Hour+time.Minute {
			t.Errorf("sent %s after the intent", at.Sub(begin))
		}
	}
	p, err := es.Load[payment.Payment](t.Context(), h, "o", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := p.State.Attempt(1)
	var held int64
	for _, c := range provider.charges {
		held += c.held
	}
	if held != a.Held.Amount || a.State.Open() || provider.twice {
		t.Errorf("the provider holds %d, the payment %d, %s; charged twice: %t", held, a.Held.Amount, a.State, provider.twice)
	}
	end := string(a.State)
	if a.DeclineCode != "" {
		end += " " + a.DeclineCode
	}
	if !notFoundAt.IsZero() && a.Void == payment.VoidSucceeded {
		end += ", then voided"
	}
	return end
}

// checkNotFound: nothing was sent for an hour, and two looks since found nothing, an hour apart.
func checkNotFound(t *testing.T, p *moody, now time.Time) {
	last := time.Time{}
	if len(p.sends) > 0 {
		last = p.sends[len(p.sends)-1]
	}
	if now.Sub(last) < 2*time.Hour-time.Minute { // a zombie may have been a little later than its successor knew
		t.Errorf("not found, %s after the last send", now.Sub(last))
	}
	var since []time.Time
	for _, at := range p.looks {
		if at.Sub(last) >= time.Hour-time.Minute {
			since = append(since, at)
		}
	}
	if len(since) < 2 || since[len(since)-1].Sub(since[0]) < time.Hour {
		t.Errorf("not found after %d looks", len(since))
	}
}

// attend is a try as the engine makes it; it may be lost, or be a zombie's with the memo before.
func (o *open) attend(t *testing.T, r *Reactor, rnd *rand.Rand, now *time.Time) (done bool) {
	kept := o.memo
	zombie := rnd.IntN(25) == 0
	if zombie {
		kept = o.old
	}
	task := o.task
	task.Left = kept
	next, err := r.Attend(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	*now = now.Add(time.Duration(rnd.Int64N(int64(10 * time.Second))))
	if zombie || rnd.IntN(12) == 0 { // fenced, or crashed: what it came to is lost
		return false
	}
	if next.Closed {
		return true
	}
	o.old = o.memo
	if o.memo, err = json.Marshal(next.Memo); err != nil {
		t.Fatal(err)
	}
	after := next.After
	if after < 0 {
		after = min(time.Second<<min(o.task.Tries, 5), 30*time.Second)
	}
	o.task.Tries++
	o.due = now.Add(after)
	return false
}
