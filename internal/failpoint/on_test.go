//go:build failpoint

package failpoint

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestThePointThatIsAskedFor(t *testing.T) {
	p := &point{text: "ack.after:2"}
	if p.at(AckBefore) != 0 || p.at(AckAfter) != 0 || p.at(AckAfter) != syscall.SIGKILL || p.at(AckAfter) != 0 {
		t.Error("not at the second hit alone")
	}
	p = &point{text: "ack.after:2:interrupt"}
	if p.at(AckAfter) != 0 || p.at(AckAfter) != syscall.SIGINT {
		t.Error("not interrupted at the second hit")
	}
	p = &point{file: filepath.Join(t.TempDir(), "point")}
	if p.at(AckAfter) != 0 {
		t.Error("hit before it was asked for")
	}
	for range 2 { // asked for again after something else, it counts anew
		for _, text := range []string{"append.before\n", "ack.after"} {
			if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if p.at(PublishAfter) != 0 || (p.at(AckAfter) != 0) != (text == "ack.after") {
				t.Error("hit by another name")
			}
		}
	}
}
