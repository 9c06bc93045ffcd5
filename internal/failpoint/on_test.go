//go:build failpoint

package failpoint

import (
	"os"
	"path/filepath"
	"testing"
)

func TestThePointThatIsAskedFor(t *testing.T) {
	p := &point{text: "ack.after:2"}
	if p.at(AckBefore) || p.at(AckAfter) || !p.at(AckAfter) || p.at(AckAfter) {
		t.Error("not at the second hit alone")
	}
	p = &point{file: filepath.Join(t.TempDir(), "point")}
	if p.at(AckAfter) {
		t.Error("hit before it was asked for")
	}
	for range 2 { // asked for again after something else, it counts anew
		for _, text := range []string{"append.before\n", "ack.after"} {
			if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if p.at(PublishAfter) || p.at(AckAfter) != (text == "ack.after") {
				t.Error("hit by another name")
			}
		}
	}
}
