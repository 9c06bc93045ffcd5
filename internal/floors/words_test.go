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

// apart is where the words are not refused: what is fetched or generated, what names the words of earlier versions, and this list itself.
var apart = []string{".git", ".cache", "bin", "testdata", "deps", "CHANGELOG.md", "internal/floors/words_test.go"}

// names are not prose: the system's user for programs without rights.
var names = map[string][]string{
	"nobody": {"internal/embedded/pgserver/", "internal/eventserver/conformance/", "internal/doctor/", "kit/eventserver/", "cmd/daybook/eventstore"},
}

// Every meaning has its own word, in comments, in texts of messages, in names and in documentation: see GLOSSARY.md.
func TestWords(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("../..", file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case slices.Contains(apart, rel) || slices.Contains(apart, d.Name()):
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir() || strings.HasSuffix(file, ".gen.go") || strings.HasSuffix(file, ".pb.go"):
			return nil
		}
		prose, err := proseOf(file)
		if err != nil || prose == nil {
			return err
		}
		files++
		for _, text := range prose {
			for _, problem := range worded(rel, text) {
				t.Errorf("%s:%s", rel, problem)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 900 {
		t.Errorf("only %d files were read", files)
	}
}

// proseOf gives what people read of a file, each part with its line; nil if it is of no kind that they do.
func proseOf(file string) (prose []string, err error) {
	switch filepath.Ext(file) {
	case ".go":
		return spoken(file)
	case "", ".md", ".yaml", ".yml", ".sql", ".sh", ".awk":
	default:
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if strings.HasPrefix(string(b), "# Written by ") { // from comments that are read themselves
		return nil, err
	}
	for i, line := range strings.Split(string(b), "\n") {
		prose = append(prose, fmt.Sprintf("%d: %s", i+1, line))
	}
	return prose, err
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

// spoken gives the comments, texts and names of a Go file, each with its line. Tags are names on the wire.
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
		case tok == token.IDENT && hump.MatchString(text):
			out = append(out, fmt.Sprintf("%d: %s", f.Line(pos), strings.ToLower(hump.ReplaceAllString(text, "$1 $2"))))
		}
	}
}

// hump is where a word begins inside a name.
var hump = regexp.MustCompile(`([a-z0-9])([A-Z])`)

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
