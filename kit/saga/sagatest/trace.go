// Package sagatest replays golden traces: text files of inputs and what the saga made of them.
package sagatest

import (
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

var rewrite = flag.Bool("rewrite", false, "write what the sagas do now into the traces")

// instanceKey is the key of the instance that a trace tells about.
const instanceKey = "o1"

// Run replays every trace that matches glob. A block is one input line, "----", the outcome, an empty line:
//
//	<event type> [for eN] [@R] [at 9h] <json>   an event is heard, in answer to the N-th command; R: its revision; at: recorded then
//	accept eN | reject CODE eN                  the N-th command is answered without an event
//	broken eN                                   it cannot be carried out
//	wait 30s                                    time passes; timers that come due are fed
//	old timer                                   the last timer that was fed comes again
//
// number is of the instance, 0 for none. Every input is given twice, and the second must change nothing; after every
// block the instance is folded again from what was stored, and must wait for the same.
func Run(t *testing.T, s saga.Saga, c *es.Catalog, number int, glob string) {
	t.Helper()
	m, err := machine.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces %s: %v", glob, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			src, err := os.ReadFile(f) //nolint:gosec // a trace
			if err != nil {
				t.Fatal(err)
			}
			id := es.StreamID{Category: m[0].Name, Key: instanceKey, N: number}
			p := player{t: t, m: m[0], c: c, run: m[0].New(id), now: time.Unix(0, 0).UTC(), labels: map[es.UUID]string{}, revisions: map[string]uint64{}}
			got := p.play(string(src))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != string(src) {
				t.Error("the trace differs from what the saga does now (-rewrite accepts it):\n" + diff(string(src), got))
			}
		})
	}
}

type player struct {
	t         *testing.T
	m         machine.Machine
	c         *es.Catalog
	run       machine.Running
	now       time.Time
	labels    map[es.UUID]string
	issued    []machine.Effect
	revisions map[string]uint64
	stored    []machine.Stepped
	timer     es.UUID // the last one fed
}

func (p *player) play(src string) string {
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(src), "\n\n") {
		line, _, _ := strings.Cut(block, "\n")
		if strings.HasPrefix(line, "#") {
			out.WriteString(block + "\n\n")
			continue
		}
		out.WriteString(line + "\n----\n")
		p.block(&out, line)
		out.WriteString("\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func (p *player) block(out *strings.Builder, line string) {
	for in := range p.inputs(line) {
		t, ok := p.run.Step(in, p.now)
		if again, ok := p.run.Step(in, p.now); ok {
			p.t.Errorf("%s: given twice, the second time made %+v", line, again)
		}
		if !ok {
			out.WriteString("nothing\n")
			continue
		}
		p.stored = append(p.stored, stored(p.t, p.c, t))
		for _, l := range Lines(t) {
			out.WriteString(p.named(l) + "\n")
		}
	}
	for _, f := range p.run.Effects() {
		if p.labels[f.ID] != "" {
			continue
		}
		p.issued = append(p.issued, f)
		p.labels[f.ID] = fmt.Sprintf("e%d", len(p.issued))
		fmt.Fprintf(out, "  %s %s -> %s %s\n", p.labels[f.ID], f.Command.CommandType(), f.Command.Stream(), encode(f.Command.Decision()))
	}
	out.WriteString(p.waits(p.run))
	again := p.m.New(p.run.ID())
	for _, e := range p.stored {
		if err := machine.Refold(again, p.c, e); err != nil {
			p.t.Fatal(err)
		}
	}
	if a, b := Owed(p.run), Owed(again); a != b {
		p.t.Errorf("%s: folded again it waits for\n%s\nnot for\n%s", line, b, a)
	}
}

// stored is an event as it comes back from the store.
func stored(t *testing.T, c *es.Catalog, taken machine.Taken) machine.Stepped {
	t.Helper()
	typ, schema, data, err := c.Encode(machine.Stepped{Taken: []machine.Taken{taken}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Decode(typ, schema, data)
	if err != nil {
		t.Fatal(err)
	}
	return e.(machine.Stepped) //nolint:forcetypeassert // it was one
}

// Lines tell what was taken, but for the event heard, and what was decided, but for the digests of commands.
func Lines(t machine.Taken) (out []string) {
	add := func(kind string, v any) { out = append(out, kind+" "+encode(v)) }
	if t.Started != nil {
		add("started", t.Started)
	}
	if t.Answer != nil {
		add("answered", t.Answer)
	}
	if t.Timer != nil {
		add("timer_due", t.Timer)
	}
	for _, d := range t.Decisions {
		kind := d.Kind
		d.Kind, d.Commands = "", nil
		add(string(kind), d)
	}
	return out
}

// Owed writes all that an instance waits for, ids included: two instances of the same history agree in it.
func Owed(r machine.Running) string {
	var b strings.Builder
	for _, f := range r.Effects() {
		fmt.Fprintf(&b, "%s %s %s %s after %v cause %s\n", f.ID, f.Command.CommandType(), f.Command.Stream(), encode(f.Command.Decision()), f.NotBefore, f.Causation)
	}
	fmt.Fprintf(&b, "%v\n%+v\n", r.Timers(), r.Status())
	return b.String()
}

func (p *player) waits(r machine.Running) string {
	var waits []string
	for _, f := range r.Effects() {
		w := p.labels[f.ID]
		if !f.NotBefore.IsZero() {
			w += fmt.Sprintf(" (not before %s)", f.NotBefore.Sub(time.Unix(0, 0)))
		}
		waits = append(waits, w)
	}
	for _, t := range r.Timers() {
		w := fmt.Sprintf("%q until %s", t.Step, t.Due.Sub(time.Unix(0, 0)))
		if t.Reminder > 0 {
			w = fmt.Sprintf("reminder %d of %s", t.Reminder, w)
		}
		waits = append(waits, w)
	}
	s := r.Status()
	if s.Stuck != "" {
		waits = append(waits, "stuck: "+p.named(s.Stuck))
	}
	if len(waits) == 0 {
		return ""
	}
	return "waits for " + strings.Join(waits, ", ") + "\n"
}

func (p *player) inputs(line string) iter.Seq[machine.Input] {
	verb, rest, _ := strings.Cut(line, " ")
	return func(yield func(machine.Input) bool) {
		switch verb {
		case "wait":
			d, err := time.ParseDuration(rest)
			if err != nil {
				p.t.Fatal(err)
			}
			p.now = p.now.Add(d)
			for id, due := p.due(); due && yield(machine.Due{Timer: id}); id, due = p.due() {
				p.timer = id
			}
		case "old":
			yield(machine.Due{Timer: p.timer})
		case "accept":
			yield(machine.Answer{Effect: p.effect(rest).ID})
		case "broken":
			yield(machine.Broken{Effect: p.effect(rest).ID, Message: "cannot be carried out"})
		case "reject":
			code, label, _ := strings.Cut(rest, " ")
			yield(machine.Answer{Effect: p.effect(label).ID, Code: es.Code(code)})
		default:
			yield(p.heard(verb, rest))
		}
	}
}

// due is the timer that came due first.
func (p *player) due() (id es.UUID, ok bool) {
	var at time.Time
	for _, t := range p.run.Timers() {
		if !t.Due.After(p.now) && (!ok || t.Due.Before(at)) {
			id, at, ok = t.ID, t.Due, true
		}
	}
	return id, ok
}

func (p *player) heard(typ, rest string) machine.Heard {
	category, _, _ := strings.Cut(typ, ".")
	r := es.Record{Type: typ, Stream: es.StreamID{Category: category, Key: instanceKey}}
	meta := es.Meta{Schema: p.version(typ), Correlation: "order-" + instanceKey}
	if after, ok := strings.CutPrefix(rest, "for "); ok {
		var label string
		label, rest, _ = strings.Cut(after, " ")
		f := p.effect(label)
		r.Stream = f.Command.Stream()
		meta.Effect = es.EffectRef{ID: f.ID, Instance: p.run.ID().String()}
	}
	name := r.Stream.String()
	if after, ok := strings.CutPrefix(rest, "@"); ok {
		var n string
		n, rest, _ = strings.Cut(after, " ")
		at, err := strconv.ParseUint(n, 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		r.Revision = at
	} else {
		r.Revision = p.revisions[name]
		p.revisions[name]++
	}
	r.Created = p.now
	if after, ok := strings.CutPrefix(rest, "at "); ok {
		var since string
		since, rest, _ = strings.Cut(after, " ")
		d, err := time.ParseDuration(since)
		if err != nil {
			p.t.Fatal(err)
		}
		r.Created = time.Unix(0, 0).UTC().Add(d)
	}
	r.ID = es.DerivedID(es.UUID{}, name, r.Revision)
	r.Data, r.Meta = []byte(rest), []byte(encode(meta))
	h, err := machine.HeardOf(p.c, r)
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

func (p *player) effect(label string) machine.Effect {
	for i, f := range p.issued {
		if label == fmt.Sprintf("e%d", i+1) {
			return f
		}
	}
	p.t.Fatalf("no command %q yet", label)
	return machine.Effect{}
}

// named writes labels in place of effect ids.
func (p *player) named(s string) string {
	for id, label := range p.labels {
		s = strings.ReplaceAll(s, id.String(), label)
	}
	return s
}

func (p *player) version(typ string) int {
	for d := range p.c.Definitions() {
		if d.Type == typ {
			return d.Version
		}
	}
	p.t.Fatalf("no event %q", typ)
	return 0
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
