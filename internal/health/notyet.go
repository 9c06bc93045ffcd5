package health

import (
	"fmt"
	"time"
)

// NotYet is the value of a part that has not done its work for the first time. It is no failure.
type NotYet struct {
	What        string // "catching up with the log"
	Done, Total uint64 // of it; Total 0: not known
	Began       time.Time
}

func (n *NotYet) Error() string {
	if n.Total == 0 {
		return n.What
	}
	s := fmt.Sprintf("%s: %.0f %%", n.What, n.Percent())
	if rate := n.Rate(); rate > 0 {
		left := time.Duration(float64(n.Total-min(n.Done, n.Total)) / rate * float64(time.Second))
		s += fmt.Sprintf(", %.0f/s, %s left", rate, max(left, time.Second).Round(time.Second))
	}
	return s
}

// Percent is how much is done, never 100 as long as some is left.
func (n *NotYet) Percent() float64 {
	if n.Total == 0 {
		return 0
	}
	return min(float64(n.Done)/float64(n.Total)*100, 99)
}

// Rate is what was done per second since Began.
func (n *NotYet) Rate() float64 {
	took := time.Since(n.Began).Seconds()
	if n.Began.IsZero() || took < 0.5 {
		return 0
	}
	return float64(n.Done) / took
}
