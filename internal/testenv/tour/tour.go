// Package tour takes README's tour on a running system and compares what its commands print with what README says.
package tour

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// step is some commands of README's tour and what it says they print.
type step struct {
	commands string
	says     string
}

// tour reads README's steps: commands, then comments about what they print.
func tour(t *testing.T) []step {
	t.Helper()
	b, err := os.ReadFile(testenv.File("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(b), "```sh\n")
	block, _, ended := strings.Cut(block, "\n```")
	if !ok || !ended {
		t.Fatal("README has no tour")
	}
	var steps []step
	var now step
	for line := range strings.SplitSeq(block, "\n") {
		comment, is := strings.CutPrefix(line, "#")
		if is {
			now.says += strings.TrimPrefix(comment, " ") + "\n"
			continue
		}
		if now.says != "" {
			steps, now = append(steps, now), step{}
		}
		if code, said, ok := strings.Cut(line, "  # "); ok && strings.HasPrefix(line, "curl") {
			line, now.says = code, said+"\n"
		}
		now.commands += line + "\n"
	}
	return append(steps, now)
}

const separator = "\x1e"

// paste runs the whole tour in one shell, as a reader would, and gives what each step printed.
func paste(t *testing.T, steps []step, api string) []string {
	t.Helper()
	var script strings.Builder
	for _, s := range steps {
		script.WriteString(s.commands + "printf '" + separator + "'\n")
	}
	text := strings.ReplaceAll(script.String(), "http://localhost:8080", api)
	text = strings.ReplaceAll(text, "/tmp/tour", filepath.Join(t.TempDir(), "tour"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", text)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	printed := strings.Split(string(out), separator)
	if len(printed) != len(steps)+1 {
		t.Fatalf("%d steps printed %d times:\n%s\n%s", len(steps), len(printed)-1, out, errs.String())
	}
	return printed[:len(steps)]
}

// Check takes the tour twice on an empty system.
func Check(t *testing.T, c *testenv.Client) {
	t.Helper()
	steps := tour(t)
	if len(steps) < 13 {
		t.Fatalf("only %d steps were found", len(steps))
	}
	for i, printed := range paste(t, steps, c.Base) {
		compare(t, steps[i], printed)
	}
	before := rested(t, c)
	for i, printed := range paste(t, steps, c.Base) {
		again(t, steps[i], printed)
	}
	if after := End(t, c); after != before {
		t.Errorf("pasted again, the log went from %s to %s", before, after)
	}
	theSpine(t, c)
}

// rested is the end of the log when nothing has been added for a second: what sagas still write about orders that have ended.
func rested(t *testing.T, c *testenv.Client) string {
	t.Helper()
	last, since := End(t, c), time.Now()
	for until := since.Add(time.Minute); time.Since(since) < time.Second && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if now := End(t, c); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}

// End is the position of the newest event.
func End(t *testing.T, c *testenv.Client) string {
	t.Helper()
	return c.Get(t, "/v1/orders?limit=1").Position()
}

var statusLine = regexp.MustCompile(`^(\d{3})\s*`)

// compare holds what was printed to what the tour says.
func compare(t *testing.T, s step, printed string) {
	t.Helper()
	says := strings.TrimSpace(s.says)
	header, body, _ := strings.Cut(strings.ReplaceAll(printed, "\r", ""), "\n\n")
	if m := statusLine.FindString(says); m != "" {
		first, _, _ := strings.Cut(says, "\n")
		expectHeader(t, s, strings.TrimSpace(first), header)
		says = says[len(m):]
	} else {
		body = printed
	}
	if _, events, ok := strings.Cut("\n"+says, "\nid:"); ok { // before it may stand what they are
		expectStream(t, "id:"+events, body)
		return
	}
	at := strings.Index(says, "{")
	if at < 0 {
		return
	}
	p, err := parsePattern(says[at:])
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Errorf("%sprinted %q: %v", s.commands, body, err)
		return
	}
	if differs := p.match("", v); differs != "" {
		t.Errorf("%s%s\n%s", s.commands, differs, body)
	}
}

// expectHeader compares `201  Location: /v1/…  ETag: "1-…"` with an HTTP header.
func expectHeader(t *testing.T, s step, says, header string) {
	t.Helper()
	status, rest, _ := strings.Cut(says, " ")
	if !strings.HasPrefix(header, "HTTP/1.1 "+status+" ") {
		t.Errorf("%sprinted %s, want %s", s.commands, header, status)
	}
	rest, _, _ = strings.Cut(rest, "{")
	for part := range strings.SplitSeq(strings.TrimSpace(rest), "  ") {
		name, want, ok := strings.Cut(strings.TrimSpace(part), ": ")
		if !ok {
			if part == "application/problem+json" && !strings.Contains(strings.ToLower(header), "content-type: "+part) {
				t.Errorf("%sis not %s: %s", s.commands, part, header)
			}
			continue
		}
		got, found := headerValue(header, name)
		if !found || !wild(want, got) {
			t.Errorf("%s%s is %q, want %q", s.commands, name, got, want)
		}
	}
}

func headerValue(header, name string) (string, bool) {
	for line := range strings.SplitSeq(header, "\n") {
		if k, v, ok := strings.Cut(line, ": "); ok && strings.EqualFold(k, name) {
			return v, true
		}
	}
	return "", false
}

// expectStream compares the first event shown, and the types of those that the text names after it.
func expectStream(t *testing.T, says, body string) {
	t.Helper()
	var types []string
	for line := range strings.SplitSeq(body, "\n") {
		if typ, ok := strings.CutPrefix(line, "event: "); ok {
			types = append(types, typ)
		}
	}
	var want []string
	for word := range strings.FieldsFuncSeq(says, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '…' }) {
		if strings.HasPrefix(word, "order.") || strings.HasPrefix(word, "payment.") {
			want = append(want, word)
		}
	}
	if len(types) < len(want) || !slices.Equal(types[:len(want)], want) || len(want) < 5 {
		t.Errorf("the stream has %v, want %v", types, want)
	}
	_, says, _ = strings.Cut(says, "data: ")
	p, err := parsePattern(says)
	if err != nil {
		t.Fatal(err)
	}
	_, data, _ := strings.Cut(body, "data: ")
	var v any
	if err := json.NewDecoder(strings.NewReader(data)).Decode(&v); err != nil {
		t.Fatal(err)
	}
	if d := p.match("", v); d != "" {
		t.Error(d)
	}
}

// again holds a second paste to its rule: accepted commands are replayed with their first status, refused ones refused.
func again(t *testing.T, s step, printed string) {
	t.Helper()
	m := statusLine.FindStringSubmatch(s.says)
	if m == nil {
		return
	}
	header, _, _ := strings.Cut(strings.ReplaceAll(printed, "\r", ""), "\n\n")
	if !strings.HasPrefix(header, "HTTP/1.1 "+m[1]+" ") {
		t.Errorf("again, %sprinted %s", s.commands, header)
	}
	replayed, _ := headerValue(header, "Idempotent-Replayed")
	if accepted := m[1] == "201" || m[1] == "200" || m[1] == "202"; accepted != (replayed == "true") {
		t.Errorf("again, %shas Idempotent-Replayed %q", s.commands, replayed)
	}
}

// theSpine is what the tour says below its commands.
func theSpine(t *testing.T, c *testenv.Client) {
	t.Helper()
	other := testenv.Order("tour-1", "tok_approve", testenv.Line("MUG-BLUE", 1))
	if code := c.Post(t, 422, "/v1/orders", "t3", other).Object(t)["code"]; code != "idempotency_key_reused" {
		t.Errorf("t3 with another body: %v", code)
	}
	stale, err := c.Do(t.Context(), "PATCH", "/v1/products/MUG-BLUE", `{"name":"Mug"}`, "Idempotency-Key", "stale", "If-Match", `"7-1"`)
	if err != nil || stale.Status != 412 {
		t.Errorf("a stale If-Match: %d %s %v", stale.Status, stale.Body, err)
	}
	unknown := c.Post(t, 422, "/v1/orders", "t8", testenv.Order("tour-4", "tok_approve", testenv.Line("NO-SUCH", 1))).Object(t)
	if unknown["code"] != "unknown_sku" {
		t.Errorf("an unknown SKU: %v", unknown)
	}
	gone, err := c.Do(t.Context(), "GET", "/v1/orders/tour-1?as_of=2020-01-01T00:00:00Z", "")
	if err != nil || gone.Status != 404 || gone.Object(t)["code"] != "not_found_at" {
		t.Errorf("before it existed: %d %s %v", gone.Status, gone.Body, err)
	}
}

// On walks README's tour at an address.
func On(t *testing.T, api string) {
	t.Helper()
	steps := tour(t)
	for i, printed := range paste(t, steps, api) {
		compare(t, steps[i], printed)
	}
}
