package mutant_test

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hunk is a place in a file: what is there, and what is there instead.
type hunk struct{ before, after string }

// patch changes one file.
type patch struct {
	file  string // from the root
	hunks []hunk
}

// parsePatch reads a unified diff of one file whose hunks have no line numbers. Text before it is for people.
func parsePatch(text string) (p patch, err error) {
	lines := strings.SplitAfter(text, "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "--- a/") })
	if at < 1 || at+1 >= len(lines) || strings.TrimSpace(lines[0]) == "" {
		return p, errors.New("it begins with what is wrong, and has the lines --- a/FILE and +++ b/FILE")
	}
	p.file = strings.TrimSpace(strings.TrimPrefix(lines[at], "--- a/"))
	if strings.TrimSpace(lines[at+1]) != "+++ b/"+p.file {
		return p, fmt.Errorf("it changes one file, %s", p.file)
	}
	for n, line := range lines[at+2:] {
		if strings.HasPrefix(line, "@@") {
			p.hunks = append(p.hunks, hunk{})
			continue
		}
		if line == "" && at+2+n == len(lines)-1 {
			break
		}
		if len(p.hunks) == 0 {
			return p, fmt.Errorf("line %d is in no hunk", at+3+n)
		}
		h := &p.hunks[len(p.hunks)-1]
		switch line[0] {
		case ' ':
			h.before += line[1:]
			h.after += line[1:]
		case '-':
			h.before += line[1:]
		case '+':
			h.after += line[1:]
		default:
			return p, fmt.Errorf("line %d begins with none of blank, - and +", at+3+n)
		}
	}
	if len(p.hunks) == 0 {
		return p, errors.New("it has no hunk")
	}
	return p, nil
}

// apply gives the changed text. Each hunk's lines must be there exactly once.
func (p patch) apply(source string) (string, error) {
	for n, h := range p.hunks {
		if h.before == h.after {
			return "", fmt.Errorf("hunk %d changes nothing", n+1)
		}
		at, found := 0, 0
		for i := range source {
			if (i == 0 || source[i-1] == '\n') && strings.HasPrefix(source[i:], h.before) {
				at, found = i, found+1
			}
		}
		if found != 1 {
			return "", fmt.Errorf("what hunk %d changes is %d times in %s:\n%s", n+1, found, p.file, h.before)
		}
		source = source[:at] + h.after + source[at+len(h.before):]
	}
	return source, nil
}

const root = "../.."

func load(t *testing.T, name string) patch {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".patch"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePatch(string(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

// patched is a file of the program as a mutant has it.
func (p patch) patched(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, p.file))
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.apply(string(source))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every patch is in the table and applies to the program as it is, exactly once.
func TestEveryPatchApplies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.patch")
	if err != nil || len(files) != len(catches) {
		t.Errorf("%d patches, %d in the table: %v", len(files), len(catches), err)
	}
	for _, c := range catches {
		t.Run(c.mutant, func(t *testing.T) {
			t.Parallel()
			p := load(t, c.mutant)
			if _, err := parser.ParseFile(token.NewFileSet(), p.file, p.patched(t), 0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPatchesThatDoNotApply(t *testing.T) {
	t.Parallel()
	const head = "It is wrong.\n\n--- a/x.go\n+++ b/x.go\n"
	for name, c := range map[string]struct{ patch, source, says string }{
		"not there":       {head + "@@\n-a\n+b\n", "c\n", "0 times"},
		"twice":           {head + "@@\n-a\n+b\n", "a\na\n", "2 times"},
		"part of a line":  {head + "@@\n-a\n+b\n", "ca\n", "0 times"},
		"nothing changed": {head + "@@\n a\n", "a\n", "changes nothing"},
		"no reason":       {"--- a/x.go\n+++ b/x.go\n@@\n-a\n+b\n", "a\n", "what is wrong"},
		"two files":       {"It is wrong.\n--- a/x.go\n+++ b/y.go\n@@\n-a\n+b\n", "a\n", "one file"},
		"no hunk":         {head, "a\n", "no hunk"},
		"outside a hunk":  {head + "-a\n+b\n", "a\n", "in no hunk"},
		"no sign":         {head + "@@\na\n", "a\n", "begins with none"},
	} {
		p, err := parsePatch(c.patch)
		if err == nil {
			_, err = p.apply(c.source)
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := parsePatch(head + "@@\n a\n-b\n+c\n+d\n@@\n-e\n+f\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.apply("a\nb\ne\n"); err != nil || got != "a\nc\nd\nf\n" {
		t.Errorf("%q, %v", got, err)
	}
}
