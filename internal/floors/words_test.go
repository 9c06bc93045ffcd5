package floors

import (
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// refused are words that have too many meanings, or none in the field, each with what to write.
var refused = []struct {
	word    *regexp.Regexp
	instead string
	except  []string // what follows it in its plain meaning
}{
	{regexp.MustCompile(`\b(?:stands|stood)\b`), "is recorded, is pending, is current, is equal, or where it is", []string{" for", " by"}},
	{regexp.MustCompile(`\b[Ww]ish(?:es|ed)?\b`), "a request, a command or an intent", nil},
	{regexp.MustCompile(`\b[Tt]old\b`), "who is answered, woken or called, and with what", nil},
	{regexp.MustCompile(`\b[Ww]hoever\b`), "the caller, the process, the reader", nil},
	{regexp.MustCompile(`\b[Nn]obody\b`), "no process, no caller, not", nil},
	{regexp.MustCompile(`\bfor ever\b`), "always, never again, finally", nil},
	{regexp.MustCompile(`\bbe had\b`), "is available", nil},
	{regexp.MustCompile(`\b(?:come|comes|came|coming) true\b`), "takes effect, holds, is carried out", nil},
}

// plain is where the words are refused: comments, texts of messages, and documentation.
var plain = []string{
	"api", "commands", "events", "projections", "imports", "deploy", "docs", "CONTRIBUTING.md", "GLOSSARY.md",
	"internal/shop", "internal/postgres", "internal/secrets", "internal/recovery", "internal/doctor", "internal/demo",
	"internal/eventserver", "internal/embedded", "internal/testenv", "internal/e2e", "internal/failpoint", "internal/recipes",
	"kit/es", "kit/eventserver", "kit/projection", "kit/reactor", "kit/runtime", "kit/iso", "kit/text", "reactors", "cmd", "internal/app",
	"internal/bench", "internal/deployment", "internal/duerows", "internal/esclient", "internal/failure", "internal/groupcommit", "internal/health",
	"internal/kafkaread", "internal/personal", "internal/protofields", "internal/reader", "internal/topic", "internal/uptime", "internal/webguard",
}

// names are not prose: the system's user for programs without rights.
var names = map[string][]string{
	"nobody": {"internal/embedded/pgserver/", "internal/eventserver/conformance/", "internal/doctor/", "kit/eventserver/", "cmd/daybook/eventstore"},
}

// Every meaning has its own word: see GLOSSARY.md.
func TestWords(t *testing.T) {
	t.Parallel()
	files := 0
	for _, place := range plain {
		err := filepath.WalkDir(filepath.Join("../..", place), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.Contains(file, "testdata") || strings.HasSuffix(file, ".gen.go") || strings.HasSuffix(file, ".pb.go") {
				return err
			}
			rel, err := filepath.Rel("../..", file)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			var prose []string
			switch filepath.Ext(file) {
			case ".go":
				prose, err = spoken(file)
			case ".md", ".yaml", ".yml", ".sql":
				b, readErr := os.ReadFile(file)
				if strings.HasPrefix(string(b), "# Written by ") { // from comments that are read themselves
					return readErr
				}
				for i, line := range strings.Split(string(b), "\n") {
					prose = append(prose, fmt.Sprintf("%d: %s", i+1, line))
				}
				err = readErr
			default:
				return nil
			}
			files++
			for _, text := range prose {
				for _, problem := range worded(rel, text) {
					t.Errorf("%s:%s", rel, problem)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 300 {
		t.Errorf("only %d files were read", files)
	}
}

// worded says which refused words a text has.
func worded(file, text string) (problems []string) {
	for _, r := range refused {
		for _, at := range r.word.FindAllStringIndex(text, -1) {
			word, rest := strings.ToLower(text[at[0]:at[1]]), text[at[1]:]
			if slices.ContainsFunc(r.except, func(next string) bool { return strings.HasPrefix(rest, next) }) ||
				slices.ContainsFunc(names[word], func(place string) bool { return strings.HasPrefix(file, place) }) {
				continue
			}
			problems = append(problems, fmt.Sprintf("%.160s: in place of %q say: %s", text, word, r.instead))
		}
	}
	return problems
}

// spoken gives the comments and texts of a Go file, each with its line. Tags are names on the wire.
func spoken(file string) (out []string, err error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	f := fset.AddFile(file, fset.Base(), len(src))
	var s scanner.Scanner
	s.Init(f, src, nil, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		switch {
		case tok == token.EOF:
			return out, nil
		case tok == token.COMMENT, tok == token.STRING && !strings.Contains(text, `json:"`):
			out = append(out, fmt.Sprintf("%d: %s", f.Line(pos), text))
		}
	}
}

func TestWordsAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"the order stands": 1, "A stands for B": 0, "others stand by": 0, "Nobody is told": 2, "kept for ever": 1, "it comes true": 1, "the wish of whoever came": 2,
		"it is recorded": 0,
	} {
		if got := worded("x.go", text); len(got) != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
