package saga_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/kit/saga/sagatest"
)

// A saga about tasks: book every room of a trip, then pay.
type (
	tripPlanned struct {
		N     int      `json:"n"`
		Rooms []string `json:"rooms"`
		Skip  bool     `json:"skip"`
	}
	tripDropped struct {
		N int `json:"n"`
	}
	roomBooked struct{}
	roomFull   struct{}
	roomFreed  struct{}
	roomStuck  struct{}
	cardPaid   struct{}
)

func (tripPlanned) EventType() string { return "trip.planned" }
func (tripDropped) EventType() string { return "trip.dropped" }
func (roomBooked) EventType() string  { return "room.booked" }
func (roomFull) EventType() string    { return "room.full" }
func (roomFreed) EventType() string   { return "room.freed" }
func (roomStuck) EventType() string   { return "room.stuck" }
func (cardPaid) EventType() string    { return "card.paid" }

type room struct{}

func (*room) Category() string { return "room" }
func (*room) Evolve(es.Event)  {}

type ask struct {
	Verb, Room string
	At         time.Time
}

func (a ask) CommandType() string           { return "room." + a.Verb }
func (a ask) Key() string                   { return a.Room }
func (ask) Decide(room) ([]es.Event, error) { return nil, nil }

type trip struct {
	Rooms   []string
	Dropped bool
	Booked  int
	Freed   int
}

func trips() saga.Definition[trip] {
	return saga.Definition[trip]{
		Name: "travel", Version: 3,
		Start: saga.StartNumbered(func(e tripPlanned) (int, bool) { return max(e.N, 1), !e.Skip }, func(t *trip, e tripPlanned) { t.Rooms = e.Rooms }),
		On: []saga.Reply[trip]{
			saga.OnNumbered(func(e tripDropped) []int { return []int{max(e.N, 1)} }, func(t *trip, _ tripDropped, _ saga.At) { t.Dropped = true }),
		},
		Abort: func(t trip) es.Code {
			if t.Dropped {
				return "dropped"
			}
			return ""
		},
		Steps: []saga.Step[trip]{
			{
				Name: "book", Deadline: func(trip) saga.Deadline { return saga.Deadline{Within: time.Minute} },
				Items: func(t trip) []string { return t.Rooms },
				Do:    func(_ trip, t saga.Turn) saga.Commands { return saga.Send(ask{"book", t.Item, t.At}) },
				On: []saga.Reply[trip]{
					saga.On(func(t *trip, _ roomBooked, _ saga.At) { t.Booked++ }),
					saga.Refusal(func(*trip, roomFull, saga.At) es.Code { return "full" }),
					saga.On(func(t *trip, _ roomFreed, _ saga.At) { t.Freed++ }),
					saga.Refusal(func(*trip, roomStuck, saga.At) es.Code { return "stuck" }).OfUndo(),
				},
				Undo: func(_ trip, t saga.Turn) saga.Commands { return saga.Send(ask{"free", t.Item, t.At}) },
			},
			{
				Name: "pay",
				Do:   func(_ trip, t saga.Turn) saga.Commands { return saga.Send(ask{"pay", "desk", t.At}) },
				On:   []saga.Reply[trip]{saga.On(func(*trip, cardPaid, saga.At) {})},
			},
		},
	}
}

func catalog(tb testing.TB) *es.Catalog {
	tb.Helper()
	c, err := es.NewCatalog(machine.Catalog(), []es.Definition{
		es.Define[tripPlanned](1), es.Define[tripDropped](1), es.Define[roomBooked](1), es.Define[roomFull](1),
		es.Define[roomFreed](1), es.Define[roomStuck](1), es.Define[cardPaid](1),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// player steps one instance, and folds it again after each step.
type player struct {
	t      *testing.T
	m      machine.Machine
	c      *es.Catalog
	run    machine.Running
	now    time.Time
	stored []machine.Stepped
	rev    uint64
}

func play(t *testing.T, n int) *player {
	t.Helper()
	ms, err := machine.Compile(trips())
	if err != nil {
		t.Fatal(err)
	}
	return &player{t: t, m: ms[0], c: catalog(t), run: ms[0].New(es.StreamID{Category: "travel", Key: "T", N: n}), now: time.Unix(1000, 0).UTC()}
}

func (p *player) step(in machine.Input) []string {
	p.t.Helper()
	var out []string
	if taken, ok := p.run.Step(in, p.now); ok {
		p.stored = append(p.stored, machine.Stepped{Taken: []machine.Taken{taken}})
		if taken.Started != nil {
			out = append(out, "started")
		}
		if taken.Event != nil {
			out = append(out, "noted")
		}
		if taken.Timer != nil {
			out = append(out, "timer_due")
		}
		for _, d := range taken.Decisions {
			out = append(out, string(d.Kind))
		}
	}
	again := p.m.New(p.run.ID())
	for _, e := range p.stored {
		if err := machine.Refold(again, p.c, e); err != nil {
			p.t.Fatal(err)
		}
	}
	if a, b := sagatest.Owed(p.run), sagatest.Owed(again); a != b {
		p.t.Errorf("folded again it waits for\n%s\nnot\n%s", b, a)
	}
	return out
}

// heard is an event in answer to an effect, or to none.
func (p *player) heard(stream es.StreamID, e es.Event, effect es.UUID) machine.Heard {
	data, err := json.Marshal(e)
	if err != nil {
		p.t.Fatal(err)
	}
	h := machine.Heard{Recorded: es.Recorded{Event: e, Stream: stream, Revision: p.rev, Created: p.now}, Data: data}
	h.ID = es.DerivedID(es.UUID{}, stream.String(), p.rev)
	h.Meta = es.Meta{Schema: 1, OccurredAt: p.now, Correlation: "trip-T"}
	if !effect.IsZero() {
		h.Meta.Effect = es.EffectRef{ID: effect, Instance: p.run.ID().String()}
	}
	p.rev++
	return h
}

func (p *player) hear(e es.Event, effect es.UUID) []string {
	p.t.Helper()
	category, _, _ := strings.Cut(e.EventType(), ".")
	return p.step(p.heard(es.StreamID{Category: category, Key: "T"}, e, effect))
}

func (p *player) owed() (out []string) {
	for _, f := range p.run.Effects() {
		out = append(out, fmt.Sprintf("%s %s %s%d", f.Command.CommandType(), f.Item, f.Direction, f.Attempt))
	}
	return out
}

func (p *player) wants(have []string, want ...string) {
	p.t.Helper()
	if fmt.Sprint(have) != fmt.Sprint(want) {
		p.t.Errorf("have %q, want %q", have, want)
	}
}

func TestEffectIDs(t *testing.T) {
	t.Parallel()
	p := play(t, 2)
	p.hear(tripPlanned{N: 2, Rooms: []string{"a", "b"}}, es.UUID{})
	for i, item := range []string{"a", "b"} {
		f := p.run.Effects()[i]
		if want := es.EffectID("travel-T.2", "book", item, 1, es.Do); f.ID != want || !p.run.Knows(want) {
			t.Errorf("effect of %s is %s, want %s", item, f.ID, want)
		}
		c := f.Call(p.run.ID())
		if c.ID != f.ID || c.Effect != (es.EffectRef{ID: f.ID, Instance: "travel-T.2"}) || c.Actor != (es.Actor{ID: "travel", Kind: "saga"}) ||
			c.Correlation != "trip-T" || c.Causation == "" || !c.OccurredAt.IsZero() {
			t.Errorf("call %+v", c)
		}
	}
}

func TestStartsOnlyItsNumber(t *testing.T) {
	t.Parallel()
	p := play(t, 2)
	p.wants(p.hear(tripPlanned{N: 1, Rooms: []string{"a"}}, es.UUID{}))
	p.wants(p.hear(tripPlanned{N: 2, Skip: true}, es.UUID{}))
	p.wants(p.hear(tripDropped{}, es.UUID{}))
	p.wants(p.hear(tripPlanned{N: 2, Rooms: []string{"a"}}, es.UUID{}), "started", "noted", "began")
	p.wants(p.hear(tripPlanned{N: 2, Rooms: []string{"b"}}, es.UUID{}))
	p.wants(p.owed(), "room.book a do1")
}

// TestInputsAreKnownByTheirPlace: the same event twice, and an older one after a newer one of its stream.
func TestInputsAreKnownByTheirPlace(t *testing.T) {
	t.Parallel()
	p := play(t, 1)
	p.hear(tripPlanned{Rooms: []string{"a", "b"}}, es.UUID{})
	f := p.run.Effects()
	older, newer := p.heard(es.StreamID{Category: "room", Key: "x"}, roomBooked{}, f[0].ID), p.heard(es.StreamID{Category: "room", Key: "x"}, roomBooked{}, f[1].ID)
	p.wants(p.step(newer), "noted")
	p.wants(p.step(newer))
	p.wants(p.step(older), "noted", "done", "began")
	p.wants(p.step(older))
	p.wants(p.owed(), "room.pay  do1")
}

// TestAnswersAreMatchedByEffect, never by type alone.
func TestAnswersAreMatchedByEffect(t *testing.T) {
	t.Parallel()
	p := play(t, 1)
	p.hear(tripPlanned{Rooms: []string{"a"}}, es.UUID{})
	f := p.run.Effects()[0]
	p.wants(p.hear(roomBooked{}, es.UUID{}))                                        // no effect
	p.wants(p.hear(roomBooked{}, es.EffectID("travel-T.1", "book", "a", 2, es.Do))) // never issued
	foreign := p.heard(es.StreamID{Category: "room", Key: "a"}, roomBooked{}, f.ID) // of another instance
	foreign.Meta.Effect.Instance = "travel-U"
	p.wants(p.step(foreign))
	elsewhere := p.heard(es.StreamID{Category: "trip", Key: "U"}, tripDropped{}, es.UUID{}) // of another key
	p.wants(p.step(elsewhere))
	p.wants(p.step(machine.Answer{Effect: es.EffectID("x", "", "", 1, es.Do)}))
	p.wants(p.hear(roomBooked{}, f.ID), "noted", "done", "began")
	p.wants(p.step(machine.Answer{Effect: f.ID, Code: "late"}))
}

// TestAttempts: an undo that fails is tried again under a new id, with growing pauses, and after the last the instance is stuck. The other
// items go on beside it.
func TestAttempts(t *testing.T) {
	t.Parallel()
	p := play(t, 1)
	p.hear(tripPlanned{Rooms: []string{"a", "b"}}, es.UUID{})
	first := p.run.Effects()[0]
	p.wants(p.hear(tripDropped{}, es.UUID{}), "noted", "failed", "undoing")
	p.wants(p.owed(), "room.free a undo1", "room.free b undo1")
	for attempt, pause := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		f := slices.DeleteFunc(p.run.Effects(), func(f machine.Effect) bool { return f.Item != "a" })
		if len(f) != 1 || f[0].Attempt != attempt+1 || f[0].Direction != es.Undo {
			t.Fatalf("attempt %d owes %v", attempt+1, p.owed())
		}
		if at := f[0].NotBefore; pause == 0 && !at.IsZero() || pause > 0 && !at.Equal(p.now.Add(pause)) {
			t.Errorf("attempt %d not before %s", attempt+1, at)
		}
		p.hear(roomStuck{}, f[0].ID)
	}
	p.wants(p.owed(), "room.free b undo1")
	if s := p.run.Status(); s.Stuck != "book a: its undo was refused too often stuck" || s.Failure != "dropped" || s.Step != "book" {
		t.Errorf("status %+v", s)
	}
	if len(p.run.Timers()) > 0 {
		t.Error("it waits for a timer")
	}
	p.wants(p.hear(roomBooked{}, first.ID), "noted") // late, and held
}

func TestRefusalWaitsForTheOthers(t *testing.T) {
	t.Parallel()
	p := play(t, 1)
	p.hear(tripPlanned{Rooms: []string{"a", "b"}}, es.UUID{})
	f := p.run.Effects()
	p.wants(p.hear(roomFull{}, f[0].ID), "noted")
	p.wants(p.hear(roomBooked{}, f[1].ID), "noted", "failed", "undoing")
	if s := p.run.Status(); s.Phase != machine.Undo || s.Failure != "full" {
		t.Errorf("status %+v", s)
	}
}

func TestTimers(t *testing.T) {
	t.Parallel()
	p := play(t, 1)
	p.hear(tripPlanned{Rooms: []string{"a"}}, es.UUID{})
	f := p.run.Effects()[0]
	timers := p.run.Timers()
	if len(timers) != 1 || !timers[0].Due.Equal(p.now.Add(time.Minute)) || timers[0].Streams[0] != (machine.Target{Effect: f.ID, Stream: es.StreamID{Category: "room", Key: "a"}}) {
		t.Fatalf("timers %+v", timers)
	}
	p.wants(p.step(machine.Due{Timer: f.ID})) // another id
	p.wants(p.step(machine.Due{Timer: timers[0].ID}), "timer_due", "failed", "undoing")
	p.wants(p.step(machine.Due{Timer: timers[0].ID}))
}

// TestPivot: once begun it is not aborted, and after it nothing is undone.
func TestPivot(t *testing.T) {
	t.Parallel()
	p := play(t, 1)
	p.hear(tripPlanned{Rooms: []string{"a"}}, es.UUID{})
	p.hear(roomBooked{}, p.run.Effects()[0].ID)
	p.wants(p.hear(tripDropped{}, es.UUID{}), "noted")
	p.wants(p.owed(), "room.pay  do1")
	p.wants(p.hear(cardPaid{}, p.run.Effects()[0].ID), "noted", "done", "ended")
	if s := p.run.Status(); s.Phase != machine.Completed || !s.Phase.Over() || s.Version != 3 {
		t.Errorf("status %+v", s)
	}
}

// TestStatedTime is inherited by what an input causes; a business time that is merely a little old was not stated.
func TestStatedTime(t *testing.T) {
	t.Parallel()
	planned := tripPlanned{Rooms: []string{"a"}}
	for _, c := range []struct {
		occurred, stated, want time.Duration // before the recording
	}{{0, 0, 0}, {time.Second, 0, 0}, {time.Hour, 0, time.Hour}, {time.Minute, time.Hour, time.Hour}} {
		p := play(t, 1)
		h := p.heard(es.StreamID{Category: "trip", Key: "T"}, planned, es.UUID{})
		h.Meta.OccurredAt = p.now.Add(-c.occurred)
		if c.stated > 0 {
			h.Meta.StatedAt = p.now.Add(-c.stated)
		}
		p.step(h)
		at := p.run.Effects()[0].Stated
		if c.want == 0 && !at.IsZero() || c.want > 0 && !at.Equal(p.now.Add(-c.want)) {
			t.Errorf("%+v: the effect states %s", c, at)
		}
		if due := p.run.Timers()[0].Due; !due.Equal(p.now.Add(time.Minute)) {
			t.Errorf("%+v: the deadline counts from a stated time: %s", c, due)
		}
	}
}

func TestUnreadableInstance(t *testing.T) {
	t.Parallel()
	p := play(t, 1)
	p.hear(tripPlanned{Rooms: []string{"a"}}, es.UUID{})
	for _, e := range []es.Event{
		machine.Stepped{Taken: []machine.Taken{{Decisions: []machine.Decision{{Kind: "dreamt"}}}}},
		machine.Stepped{Taken: []machine.Taken{{Event: &machine.Noted{Type: "trip.forgotten", Schema: 1}}}}, tripDropped{},
		machine.Stepped{Taken: []machine.Taken{{Decisions: []machine.Decision{{Kind: machine.Began, Step: "book", Attempt: 1}}}}},
	} {
		if err := machine.Refold(p.run, p.c, e); err == nil {
			t.Errorf("%T %+v is folded without an error", e, e)
		}
	}
}

func TestCompile(t *testing.T) {
	t.Parallel()
	with := func(change func(*saga.Definition[trip])) saga.Definition[trip] {
		d := trips()
		change(&d)
		return d
	}
	for want, d := range map[string]saga.Definition[trip]{
		"needs a name and a version":           with(func(d *saga.Definition[trip]) { d.Version = 0 }),
		"needs Start or StartNumbered":         with(func(d *saga.Definition[trip]) { d.Start = saga.Reply[trip]{} }),
		"Reopen needs both events and a time":  with(func(d *saga.Definition[trip]) { d.Reopen.Within = time.Hour }),
		"two steps are called":                 with(func(d *saga.Definition[trip]) { d.Steps[1].Name = "book" }),
		"needs a name and something to do":     with(func(d *saga.Definition[trip]) { d.Steps[1].Do = nil }),
		`step "pay" has Late`:                  with(func(d *saga.Definition[trip]) { d.Steps[1].Late = func(*trip) {} }),
		"has a deadline and waits for nothing": with(func(d *saga.Definition[trip]) { d.Steps[0].Do, d.Steps[0].On = nil, nil }),
		"has a refusal of a command and sends none": with(func(d *saga.Definition[trip]) {
			d.Steps[0].Do, d.Steps[0].Done = nil, func(trip, saga.Turn) bool { return false }
		}),
		"has a reply of an undo":              with(func(d *saga.Definition[trip]) { d.Steps[1].On[0] = d.Steps[1].On[0].OfUndo() }),
		"can be undone but follows the pivot": with(func(d *saga.Definition[trip]) { d.Steps[0], d.Steps[1] = d.Steps[1], d.Steps[0] }),
	} {
		if _, err := machine.Compile(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
	never := saga.On(func(*trip, tripDropped, saga.At) {})
	numbered := saga.OnNumbered(func(tripDropped) []int { return nil }, func(*trip, tripDropped, saga.At) {})
	for want, d := range map[string]saga.Definition[trip]{
		"trip.dropped in On reaches no instance, because they are numbered": with(func(d *saga.Definition[trip]) { d.On[0] = never }),
		"trip.dropped in Reopen reaches no instance, because they are numbered": with(func(d *saga.Definition[trip]) {
			d.Reopen = saga.Reopen[trip]{On: []saga.Reply[trip]{never}, Within: time.Hour}
		}),
		`trip.dropped in step "wait" reaches no instance, because they are numbered`: with(func(d *saga.Definition[trip]) {
			d.Steps = append(d.Steps, saga.Step[trip]{Name: "wait", On: []saga.Reply[trip]{never}, Done: func(trip, saga.Turn) bool { return false }})
		}),
		`trip.dropped in step "pay" is an answer, which reaches the instance that sent the command`: with(func(d *saga.Definition[trip]) {
			d.Steps[1].On = append(d.Steps[1].On, numbered)
		}),
		"trip.dropped in On reaches no instance, because none has a number": with(func(d *saga.Definition[trip]) {
			d.Start = saga.Start(nil, func(*trip, tripPlanned) {})
		}),
		"trip.planned in On is a Start": with(func(d *saga.Definition[trip]) { d.On = []saga.Reply[trip]{d.Start} }),
	} {
		if _, err := machine.Compile(d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
	if _, err := machine.Compile(trips(), trips()); err == nil || !strings.Contains(err.Error(), "defined twice") {
		t.Errorf("twice: %v", err)
	}
	if _, err := machine.Compile(trips(), with(func(d *saga.Definition[trip]) { d.Version = 4 })); err != nil {
		t.Errorf("two versions: %v", err)
	}
}
