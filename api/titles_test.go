package api

import (
	"regexp"
	"strings"
	"testing"
)

// A title names the problem in at most five words; what happened in this request is the detail's to say.
func TestTitlesAreShort(t *testing.T) {
	sentence := regexp.MustCompile(`(?i)\b(the|there|it|is|are|was|has|may|must|does|can|cannot)\b|[.;]`)
	seen := map[string]string{}
	for code, k := range kinds {
		if words := strings.Fields(k.title); len(words) > 5 || sentence.MatchString(k.title) || k.title[0] < 'A' || k.title[0] > 'Z' {
			t.Errorf("%s: %q", code, k.title)
		}
		if other := seen[k.title]; other != "" && k.title != "Not found" {
			t.Errorf("%s and %s: %q", code, other, k.title)
		}
		seen[k.title] = string(code)
	}
}
