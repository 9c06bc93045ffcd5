package floors

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var pathInText = regexp.MustCompile("`((?:api|checks|cmd|commands|docs|events|imports|internal|kit|projections|reactors|sagas)/[a-z0-9/]*(?:[a-z]+\\.(?:go|md|yaml))?)`")

// A file that ARCHITECTURE.md names is there.
func TestTheMapNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, m := range pathInText.FindAllStringSubmatch(string(text), -1) {
		path := m[1]
		if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
			t.Errorf("ARCHITECTURE.md names %s, which is not there", path)
		}
		named++
	}
	if named < 60 {
		t.Errorf("only %d paths were found", named)
	}
}
