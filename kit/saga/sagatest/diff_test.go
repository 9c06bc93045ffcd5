package sagatest

import (
	"strings"
	"testing"
)

// TestDiff: a failed trace shows the lines that changed, and few of the others.
func TestDiff(t *testing.T) {
	t.Parallel()
	lines := func(s string) string { return strings.ReplaceAll(s, " ", "\n") }
	for _, c := range []struct{ want, got, diff string }{
		{"a b c", "a x c", "  a\n- b\n+ x\n  c"},
		{"a b", "a b c", "  a\n  b\n+ c"},
		{"1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 X", "…\n  6\n  7\n  8\n- 9\n+ X"},
		{"X 2 3 4 5 6 7 8 9 Y", "2 3 4 5 6 7 8 9", "- X\n  2\n  3\n  4\n…\n  7\n  8\n  9\n- Y"},
		{"0 2 3 4 5 6 7", "1 2 3 4 5 6 7", "- 0\n+ 1\n  2\n  3\n  4\n…"},
	} {
		if d := diff(lines(c.want), lines(c.got)); d != c.diff {
			t.Errorf("%q and %q differ by\n%s\nwant\n%s", c.want, c.got, d, c.diff)
		}
	}
}
