package filter

import (
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	const nodeDefault = `^(?!(\$.+$|PersistentConfig\d+$|Result$))`
	for _, c := range []struct {
		byType       bool
		regex        string
		prefixes     []string
		stream, kind string
		want         bool
	}{
		{false, "", []string{"order-", "stock-"}, "stock-1", "x", true},
		{false, "", []string{"order-"}, "stock-1", "order-", false},
		{true, "", []string{"order."}, "stock-1", "order.placed", true},
		{false, `^[^\$].*`, nil, "$system", "x", false},
		{false, `^[^\$].*`, nil, "order-1", "$x", true},
		{false, `^[^\$].*`, nil, "", "x", false},
		{true, `^[^\$].*`, nil, "order-1", "$x", false},
		{false, `^[^\$]`, nil, "$system", "x", false},
		{false, `^[^\$]`, nil, "\n", "x", true},
		{false, `rder`, nil, "order-1", "x", true}, // unanchored
		{true, nodeDefault, nil, "s", "$metadata", false},
		{true, nodeDefault, nil, "s", "PersistentConfig1", false},
		{true, nodeDefault, nil, "s", "PersistentConfigs", true},
		{true, nodeDefault, nil, "s", "order.placed", true},
		{false, `(?i)ORDER`, nil, "order-1", "x", true},
	} {
		f, err := New(c.byType, c.regex, c.prefixes)
		if err != nil {
			t.Fatalf("%q %q: %v", c.regex, c.prefixes, err)
		}
		if got, err := f.Match([]byte(c.stream), []byte(c.kind)); err != nil || got != c.want {
			t.Errorf("by type %v, %q %q on (%s, %s): %v %v, want %v", c.byType, c.regex, c.prefixes, c.stream, c.kind, got, err, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, regex := range []string{"", "(", strings.Repeat("a", maxExpression+1)} {
		if _, err := New(false, regex, nil); err == nil {
			t.Errorf("expression of %d bytes accepted", len(regex))
		}
	}
}

func TestExpressionThatNeverEnds(t *testing.T) {
	t.Parallel()
	f, err := New(false, `^(a+)+$`, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := f.Match([]byte(strings.Repeat("a", 40)+"b"), nil); err == nil {
		t.Error("no error after a match that cannot end in time")
	}
	if d := time.Since(began); d > time.Minute {
		t.Errorf("took %v", d)
	}
}
