package doctor

import (
	"fmt"
	"strconv"
	"testing"
)

// What is found beside one another is counted whole, and of each invariant the first findings are kept.
func TestReportsAreMerged(t *testing.T) {
	t.Parallel()
	all := NewReport()
	for part := range 3 {
		r := NewReport()
		for i := range 40 {
			r.Find(Finding{Invariant: "I3", Problem: fmt.Sprint(part, i)})
		}
		r.Find(Finding{Invariant: "I5", Problem: strconv.Itoa(part)})
		r.Checked["rows"] = 10 + part
		r.Skipf("part %d", part)
		r.Notef("part %d of 100%%", part)
		all.Merge(r)
	}
	if all.Breaches["I3"] != 120 || all.Breaches["I5"] != 3 || all.Checked["rows"] != 33 || len(all.Skipped) != 3 || len(all.Notes) != 3 || all.Notes[2] != "part 2 of 100%" {
		t.Errorf("%+v", all)
	}
	kept := map[string]int{}
	for _, f := range all.Findings {
		kept[f.Invariant]++
	}
	if kept["I3"] != mostKept || kept["I5"] != 3 || all.Findings[40].Problem != "0" || all.Findings[41].Problem != fmt.Sprint(1, 0) {
		t.Errorf("%v, %v", kept, all.Findings[40:42])
	}
}
