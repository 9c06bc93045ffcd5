package imports_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// An import that writes into a running system is killed at fixed places: when its begin is recorded and not answered, before an
// append, and after one. After each the doctor finds nothing wrong; run again, it comes to the recount's end.
func TestImportKilledAtFixedPlaces(t *testing.T) {
	t.Parallel()
	file := head(t, 600)
	want := count(t, file)
	p := testenv.Start(t, testenv.Options{})
	for _, at := range []struct {
		point failpoint.Name
		n     int
	}{{failpoint.AppendAfter, 1}, {failpoint.AppendBefore, 250}, {failpoint.AppendAfter, 150}} {
		i := testenv.BeginAt(t, fmt.Sprintf("%s:%d", at.point, at.n), "import", "online-retail", "--data-dir", p.DataDir, file)
		ends(t, i)
		if !i.Killed() {
			t.Fatalf("not killed at %s:%d\n%s", at.point, at.n, i.Output())
		}
		if out, errs, err := testenv.Run(t, "doctor", "--data-dir", p.DataDir); err != nil || !strings.Contains(out, "run the import again to go on") {
			t.Errorf("killed at %s:%d, the doctor says %v\n%s\n%s", at.point, at.n, err, out, errs)
		}
	}
	s := importFile(t, p.DataDir, file)
	if fmt.Sprint(s["repeated"]) == "0" || fmt.Sprint(s["recorded"]) == "0" {
		t.Errorf("after the kills %v commands were repeated and %v new: nothing was interrupted", s["repeated"], s["recorded"])
	}
	position := "&min_position=" + fmt.Sprint(s["position"])
	checkReports(t, p.Client(), want, time.Now(), position)
	checkStock(t, p.Client(), want, position)
	if out, errs, err := testenv.Run(t, "doctor", "--data-dir", p.DataDir); err != nil || strings.Contains(out, "run the import again") {
		t.Errorf("after the end the doctor says %v\n%s\n%s", err, out, errs)
	}
	if again := importFile(t, p.DataDir, file); fmt.Sprint(again["recorded"]) != "0" {
		t.Errorf("the last run recorded %v commands", again["recorded"])
	}
}
