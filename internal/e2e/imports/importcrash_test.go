package imports_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// An import, with all the servers it started itself, is killed in the middle: between the orders, and while the event store writes.
// Run again it comes to the same end as one that was left alone: the recount's. The long version takes the whole file.
func TestImportKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	lines, appends := 3000, 3000
	if os.Getenv("DAYBOOK_LONG") != "" {
		lines, appends = 0, 30_000 // all
	}
	file := head(t, lines)
	want := count(t, file)
	dir := testenv.DataDir(t)
	for _, point := range []string{
		fmt.Sprintf("%s:%d", failpoint.AppendAfter, appends), fmt.Sprintf("%s:%d", failpoint.AppendBefore, appends),
		fmt.Sprintf("%s:5", failpoint.StoreBatchBeforeSync),
	} {
		p := testenv.BeginAt(t, point, "import", "online-retail", "--data-dir", dir, file)
		ends(t, p)
		if !p.Killed() {
			t.Fatalf("not killed at %s:\n%s", point, p.Output())
		}
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
	// It has begun with the orders then: there are no more products, customers and commands of a first window than that.
	p := testenv.BeginAt(t, fmt.Sprintf("%s:%d:interrupt", failpoint.AppendAfter, 6000),
		append([]string{"import", "online-retail", "--data-dir", dir, file}, testenv.AnyPorts()...)...)
	if code := ends(t, p); code != 130 {
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

// ends waits for the end of a process, and gives its exit code.
func ends(t *testing.T, p *testenv.Process) int {
	t.Helper()
	select {
	case <-p.Exited():
	case <-time.After(5 * time.Minute):
		t.Fatalf("it does not end:\n%s", p.Output())
	}
	return p.ExitCode()
}
