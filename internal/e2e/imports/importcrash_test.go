package imports_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// An import, with all the servers it started itself, is killed in the middle; run again it comes to the same end as one that
// was left alone: the recount's. The long version takes the whole file.
func TestImportKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	lines := 3000
	if os.Getenv("DAYBOOK_LONG") != "" {
		lines = 0 // all
	}
	file := head(t, lines)
	want := count(t, file)
	dir := testenv.DataDir(t)
	for _, part := range []float64{0.1, 0.4, 0.7} {
		p := testenv.Begin(t, "import", "online-retail", "--data-dir", dir, file)
		killAt(t, p, part)
		brokenOff(t, dir)
	}
	s := importFile(t, dir, file)
	if fmt.Sprint(s["repeated"]) == "0" || fmt.Sprint(s["recorded"]) == "0" {
		t.Errorf("after the kills %v commands were repeated and %v new: nothing was interrupted", s["repeated"], s["recorded"])
	}
	p := testenv.Start(t, testenv.Options{DataDir: dir})
	at := "&min_position=" + fmt.Sprint(s["position"])
	checkReports(t, p.Client(), want, time.Now(), at)
	checkStock(t, p.Client(), want, at)
	if again := importFile(t, dir, file); fmt.Sprint(again["recorded"]) != "0" {
		t.Errorf("the last run recorded %v commands", again["recorded"])
	}
}

var progress = regexp.MustCompile(`"done":(\d+),"of":(\d+)`)

// brokenOff holds the doctor to what it says of an import that was broken off: that it was, and nothing that is wrong.
func brokenOff(t *testing.T, dir string) {
	t.Helper()
	p := testenv.Start(t, testenv.Options{DataDir: dir})
	defer p.Stop()
	out, errs, err := testenv.Run(t, "doctor", "--data-dir", dir)
	if err != nil || !strings.Contains(out, "run the import again to go on") {
		t.Errorf("doctor: %v\n%s\n%s", err, out, errs)
	}
}

// An import that is interrupted says in one sentence how far it came and what to do, and ends as a shell expects.
func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	file, dir := head(t, 3000), testenv.DataDir(t)
	// Other tests may take a usual port while Postgres starts on it, of which it would say something.
	p := testenv.Begin(t, append([]string{"import", "online-retail", "--data-dir", dir, file}, testenv.AnyPorts()...)...)
	at(t, p, 0.4)
	if code := p.Interrupt(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	var said []string
	for line := range strings.Lines(p.Output()) {
		if !progress.MatchString(line) {
			said = append(said, strings.TrimSpace(line))
		}
	}
	if len(said) != 1 || !regexp.MustCompile(`^daybook: import: stopped after [1-9]\d* of [1-9]\d* orders; run it again to go on$`).MatchString(said[0]) {
		t.Errorf("it said %q", said)
	}
	brokenOff(t, dir)
}

// killAt ends a running import when it has done a part.
func killAt(t *testing.T, p *testenv.Process, part float64) {
	t.Helper()
	at(t, p, part)
	p.Kill()
}

// at waits until a running import has done a part.
func at(t *testing.T, p *testenv.Process, part float64) {
	t.Helper()
	for give := time.After(5 * time.Minute); ; {
		if all := progress.FindAllStringSubmatch(p.Output(), -1); all != nil {
			last := all[len(all)-1]
			done, _ := strconv.Atoi(last[1])
			of, _ := strconv.Atoi(last[2])
			if float64(done) >= part*float64(of) && done < of {
				return
			}
		}
		select {
		case <-p.Exited():
			t.Fatalf("the import ended before it was killed at %.0f %%:\n%s", 100*part, p.Output())
		case <-give:
			t.Fatalf("the import did not come to %.0f %%:\n%s", 100*part, p.Output())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
