package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a body may cost the gate, whatever it says. A reading that is linear takes some 20 steps and 60 bytes.
const (
	stepsPerByte     = 40
	allocatedPerByte = 120
	costsAtLeast     = 100_000 // steps or bytes, of a body that is next to nothing
	longestAnswer    = 100_000
)

// A body costs the gate no more than its length times a constant, whichever operation it is sent to, whichever part of it is
// wrong, and the answer is short. The operations are those of openapi.yaml.
func TestBodiesCostWhatTheyAreLong(t *testing.T) {
	for name, op := range bodied(t) {
		t.Run(name, func(t *testing.T) {
			for at := range nodes(op.body) {
				for _, a := range attacks {
					var steps [2]int
					for i, size := range []int{10_000, 200_000} {
						body := write(op.body, at, a.make(size))
						steps[i] = judgeWithin(t, fmt.Sprintf("%s at %d, %d bytes", a.name, at, len(body)), op, body)
					}
					if steps[1] > 25*steps[0]+costsAtLeast {
						t.Errorf("%s at %d: 20 times the length takes %d steps instead of %d", a.name, at, steps[1], steps[0])
					}
				}
			}
		})
	}
}

func FuzzBodiesCostWhatTheyAreLong(f *testing.F) {
	all := bodied(f)
	names := slices.Sorted(maps.Keys(all))
	for i, name := range names {
		f.Add(uint8(i), write(all[name].body, -1, "")) //nolint:gosec // few
		for _, a := range attacks {
			f.Add(uint8(i), a.make(1000)) //nolint:gosec // few
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		if len(body) > maxBody {
			return
		}
		judgeWithin(t, body, all[names[int(which)%len(names)]], body)
	})
}

// What is in order goes through as it is, so that the costs above are those of bodies that are looked at.
func TestSampledBodiesAreInOrder(t *testing.T) {
	for name, op := range bodied(t) {
		body := write(op.body, -1, "")
		if _, err := op.judge(newWork(t.Context(), len(body)), []byte(body)); err != nil {
			var p *Problem
			_ = errors.As(err, &p)
			t.Errorf("%s: %s: %v %v", name, body, err, p.Errors)
		}
	}
}

// Checking ends with its request.
func TestCheckingEndsWithItsRequest(t *testing.T) {
	for name, op := range bodied(t) {
		body := write(op.body, 0, attacks[0].make(900_000))
		ctx, cancel := context.WithCancel(t.Context())
		w := newWork(&ending{ctx, cancel, 3}, len(body))
		if _, err := op.judge(w, []byte(body)); !errors.Is(err, context.Canceled) || w.steps > 5*len(body) {
			t.Errorf("%s: %v after %d steps", name, err, w.steps)
		}
	}
}

// ending is a context that ends after it was asked some times.
type ending struct {
	context.Context //nolint:containedctx // a test's

	cancel func()
	left   int
}

func (e *ending) Err() error {
	if e.left--; e.left == 0 {
		e.cancel()
	}
	return e.Context.Err()
}

// At most 50 faults are named, and the problem says so.
func TestFaultsAreNamedUpToANumber(t *testing.T) {
	op := bodied(t)["placeOrder"]
	for _, n := range []int{49, 50, 51, 5000} {
		body := write(op.body, 0, unknown(n))
		_, err := op.judge(newWork(t.Context(), len(body)), []byte(body))
		p := AsProblem(err)
		if want := min(n+len(op.body.required), maxFaults); len(p.Errors) != want || strings.Contains(p.Detail, "or more") != (n+len(op.body.required) > maxFaults) {
			t.Errorf("of %d: %d are named: %s", n, len(p.Errors), p.Detail)
		}
	}
}

func bodied(t testing.TB) map[string]*operation {
	t.Helper()
	g, err := NewGate([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*operation{}
	for _, op := range g.operations {
		if op.body != nil {
			out[op.id] = op
		}
	}
	if len(out) < 7 {
		t.Fatalf("only %d operations take a body", len(out))
	}
	return out
}

// judgeWithin has a body judged and holds that to what it may cost. It gives the steps taken.
func judgeWithin(t testing.TB, what string, op *operation, body string) int {
	t.Helper()
	b := []byte(body)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	w := newWork(t.Context(), len(b))
	canon, err := op.judge(w, b)
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if len(what) > 200 {
		what = what[:200]
	}
	if w.steps > stepsPerByte*len(b)+costsAtLeast || errors.Is(w.err, errTooMuchWork) {
		t.Errorf("%s: %d steps for %d bytes", what, w.steps, len(b))
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(allocatedPerByte*len(b)+costsAtLeast) { //nolint:gosec // positive
		t.Errorf("%s: %d bytes allocated for %d", what, n, len(b))
	}
	if took > time.Minute { // some 10 ms are usual on a quiet machine, many minutes were
		t.Errorf("%s: took %s", what, took)
	}
	if err == nil {
		if !json.Valid(canon) {
			t.Errorf("%s: what goes on is no JSON: %.300s", what, canon)
		}
		return w.steps
	}
	answer := httptest.NewRecorder()
	if err := AsProblem(err).Write(answer, "trace"); err != nil || answer.Body.Len() > longestAnswer || answer.Code >= 500 {
		t.Errorf("%s: %d, an answer of %d bytes, %v", what, answer.Code, answer.Body.Len(), err)
	}
	return w.steps
}

// attacks are values that cost much if anything does.
var attacks = []struct {
	name string
	make func(size int) string
}{
	{"unknown members", func(n int) string { return unknown(n / 12) }},
	{"one member again and again", func(n int) string { return "{" + strings.Repeat(`"a":1,`, n/6) + `"a":1}` }},
	{"known members again and again", func(n int) string { return "{" + strings.Repeat(`"id":1,"sku":"x",`, n/17) + `"id":1}` }},
	{"numbers", func(n int) string { return "[" + strings.Repeat("1,", n/2) + "1]" }},
	{"empty objects", func(n int) string { return "[" + strings.Repeat("{},", n/3) + "{}]" }},
	{"empty texts", func(n int) string { return "[" + strings.Repeat(`"",`, n/3) + `""]` }},
	{"texts of one escape", func(n int) string { return "[" + strings.Repeat(`"\n",`, n/5) + `""]` }},
	{"objects in depth", func(n int) string {
		return strings.Repeat(`{"a":`, 25) + unknown(n/12) + strings.Repeat("}", 25)
	}},
	{"long names in depth", func(n int) string {
		return strings.Repeat(`{"`+strings.Repeat("x", n/50)+`":`, 25) + unknown(n/24) + strings.Repeat("}", 25)
	}},
	{"too deep", func(n int) string { return strings.Repeat("[", n/2) + strings.Repeat("]", n/2) }},
	{"a long text", func(n int) string { return `"` + strings.Repeat("x", n) + `"` }},
	{"a long name", func(n int) string { return `{"` + strings.Repeat("x", n/2) + `":` + unknown(n/24) + `}` }},
	{"escapes", func(n int) string { return `"` + strings.Repeat(`A`, n/6) + `"` }},
	{"names of escapes", func(n int) string { return `{"` + strings.Repeat(`A`, n/6) + `":1}` }},
	{"surrogate pairs", func(n int) string { return `"` + strings.Repeat(`\ud83d\ude00`, n/12) + `"` }},
	{"characters of four bytes", func(n int) string { return `"` + strings.Repeat("😀", n/4) + `"` }},
	{"NULs", func(n int) string { return `["` + strings.Repeat(`\u0000","`, n/9) + `"]` }},
	{"digits", func(n int) string { return "1" + strings.Repeat("0", n) }},
	{"digits after the point", func(n int) string { return "1." + strings.Repeat("0", n) + "1" }},
	{"digits of an exponent", func(n int) string { return "1e" + strings.Repeat("9", n) }},
	{"enormous exponents", func(n int) string { return "[" + strings.Repeat("1e999999999,", n/12) + "1]" }},
	{"what might be card numbers", func(n int) string { return `"` + strings.Repeat("4242 4242 4242 4241 ", n/20) + `"` }},
	{"a map of texts", func(n int) string {
		return strings.ReplaceAll(unknown(n/14), ":1", `:"v"`)
	}},
	{"blanks", func(n int) string { return strings.Repeat(" ", n) + "1" + strings.Repeat("\n", n) }},
	{"broken off", func(n int) string { return strings.Repeat(`{"a":[`, min(n/6, 15)) + strings.Repeat("1,", n/2) }},
	{"noise", func(n int) string {
		r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // noise
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(' ' + r.IntN(95))
		}
		quoted, _ := json.Marshal(string(b))
		return string(quoted)
	}},
}

func unknown(n int) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`"k` + strconv.Itoa(i) + `":1`)
	}
	return b.String() + "}"
}

// nodes is how many values a body of a shape has, if each object has all its members and each array one item.
func nodes(s *shape) int {
	n := 1
	if s == nil {
		return n
	}
	for _, m := range s.members {
		n += nodes(m)
	}
	if s.items != nil {
		n += nodes(s.items)
	}
	if s.others != nil {
		n += nodes(s.others)
	}
	return n
}

// write makes a body of a shape, with another value at one of its nodes; -1: at none.
func write(s *shape, at int, instead string) string {
	switch {
	case at == 0:
		return instead
	case s == nil:
		return "1"
	case slices.Contains(s.types, "object"):
		return writeObject(s, at, instead)
	case slices.Contains(s.types, "array"):
		return "[" + write(s.items, max(at-1, -1), instead) + "]"
	case slices.Contains(s.types, "integer"):
		if s.min != nil {
			return strconv.FormatInt(*s.min, 10)
		}
		return "1"
	case slices.Contains(s.types, "boolean"):
		return "true"
	}
	for _, text := range append([]string{"GBP", "GB", "standard", "a@example.com", "2026-01-31", "2026-01-31T12:00:00Z", "x"}, s.options...) {
		if s.textFaults(text) == nil {
			return strconv.Quote(text)
		}
	}
	return `"a text of this shape is not among those that the test knows"`
}

func writeObject(s *shape, at int, instead string) string {
	required := s.required
	if n := len(s.one); n > 0 {
		required = slices.Concat(required, s.one[n-1].required)
	}
	var members []string
	next := 1
	for _, name := range slices.Sorted(maps.Keys(s.members)) {
		m := s.members[name]
		within := -1
		if at >= next && at < next+nodes(m) {
			within = at - next
		}
		next += nodes(m)
		few := s.maxMembers < len(s.members) // of which only one can be there
		if within >= 0 || slices.Contains(required, name) || !few && at >= 0 || few && at < 0 && members == nil {
			members = append(members, strconv.Quote(name)+":"+write(m, within, instead))
		}
	}
	if s.others != nil {
		within := -1
		if at >= next {
			within = at - next
		}
		members = append(members, `"GBP":`+write(s.others, within, instead))
	}
	return "{" + strings.Join(members, ",") + "}"
}
