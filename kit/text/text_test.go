package text_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/kit/text"
)

func TestText(t *testing.T) {
	for s, clean := range map[string]string{
		"Mug": "Mug", " Mug\u00a0": "Mug", "e\u0301": "é", "two  blanks": "two  blanks", "\u3000x": "x", "❤\ufe0f": "❤\ufe0f", "\u2800x": "x", "Ὀδυσσεύς": "Ὀδυσσεύς",
	} {
		if got := text.Clean(s); got != clean {
			t.Errorf("%q comes to %q, want %q", s, got, clean)
		}
		if err := text.Check(clean, 20); err != nil {
			t.Errorf("%q: %v", clean, err)
		}
	}
	for _, s := range []string{
		"", " ", "\u00a0\u2003", "\u2800", "\ufe0f", "a\x00", "a\nb", "a\tb", "a\x7f", "a\u0085", "a\u200bb", "a\u200db", "a\u202eb", "\ufeffa", "a\u00adb", "a\u2028b",
		"a\u2066b", "a\u034fb", "\u3164", "a\U000e0041", "a\u180eb", "a\u115f",
	} {
		if err := text.Check(text.Clean(s), 20); err == nil {
			t.Errorf("%q is a text", s)
		}
	}
	for _, s := range []string{" a", "a ", "e\u0301"} {
		if err := text.Check(s, 20); err == nil {
			t.Errorf("%q is a clean text", s)
		}
	}
	if text.Check("12345", 4) == nil || text.Check("1234", 4) != nil {
		t.Error("length")
	}
}

// The pattern of openapi.yaml takes what comes to a text, and nothing else.
func TestPatternIsTheSame(t *testing.T) {
	pattern := regexp.MustCompile(text.Pattern())
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune(" \u00a0\u2800\ufe0f\u200b\n\x00aé\u0301")))).Draw(t, "s")
		if !utf8.ValidString(s) {
			t.Skip("not UTF-8")
		}
		if got, want := pattern.MatchString(s), text.Check(text.Clean(s), 1<<20) == nil; got != want {
			t.Fatalf("%q: pattern %v, text %v", s, got, want)
		}
	})
}

func TestIDs(t *testing.T) {
	for _, s := range []string{"", " a", "a b", "a\u200b", "ä", "a/b", strings.Repeat("a", 65), "a\n", "a."} {
		if text.ID(s) {
			t.Errorf("%q is an id", s)
		}
	}
	for _, s := range []string{"", "..", ".", "-a", "a b", " a", "a\n", "a\u00a0", "Ä", strings.Repeat("a", 65)} {
		if text.SKU(s) || text.Ref(s) {
			t.Errorf("%q is a SKU or a reference", s)
		}
	}
	for _, s := range []string{"MUG-BLUE", "85123A", "a/b", "1.5~x+y_z"} {
		if !text.SKU(s) {
			t.Errorf("%q is no SKU", s)
		}
	}
	if !text.ID("order_1-A") || !text.Ref("PO-1001") || !text.Ref("online-retail-0123456789ab") || !text.Ref("line:7") || !text.Ref("a/b#1") {
		t.Error("an id or a reference is refused")
	}
}
