package sagatest

import (
	"slices"
	"strings"
)

// around is how many equal lines are shown before and after a change.
const around = 3

// diff shows two texts line by line: "-" is only in the first, "+" only in the second. Of longer equal parts it shows the ends.
func diff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	common := make([][]int, len(a)+1) // length of the longest common part of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i, x := range slices.Backward(a) {
		for j, y := range slices.Backward(b) {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); x == y {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out, equal []string
	changed := false
	flush := func(last bool) {
		head, tail := around, around
		if !changed {
			head = 0
		}
		if last {
			tail = 0
		}
		if len(equal) > head+tail {
			out = append(append(append(out, equal[:head]...), "…"), equal[len(equal)-tail:]...)
		} else {
			out = append(out, equal...)
		}
		equal, changed = nil, true
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			equal = append(equal, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			flush(false)
			out = append(out, "- "+a[i])
			i++
		default:
			flush(false)
			out = append(out, "+ "+b[j])
			j++
		}
	}
	flush(true)
	return strings.Join(out, "\n")
}
