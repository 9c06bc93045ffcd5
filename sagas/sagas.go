// Package sagas is every process that takes more than one stream: each file reads as its table in the domain's
// description.
package sagas

import (
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/saga"
)

// Deadlines of the sagas. Zero fields take their defaults.
type Deadlines struct {
	Reserve   time.Duration // every line of an order; 30 s
	Authorise time.Duration // the provider's answer; 1 min
	Action    time.Duration // what the buyer has to do (3-D Secure), from when it is known; 15 min
}

func (d Deadlines) orDefaults() Deadlines {
	set := func(at *time.Duration, or time.Duration) {
		if *at <= 0 {
			*at = or
		}
	}
	set(&d.Reserve, 30*time.Second)
	set(&d.Authorise, time.Minute)
	set(&d.Action, 15*time.Minute)
	return d
}

// All is every saga.
func All(d Deadlines) []saga.Saga { return []saga.Saga{Placement(d), Cancellation()} }

// items names what a step does line by line.
func items[L any](lines []L, number func(L) int) (out []string) {
	for _, l := range lines {
		out = append(out, item(number(l)))
	}
	return out
}

func item(line int) string { return strconv.Itoa(line) }

func when(is bool, code es.Code) es.Code {
	if is {
		return code
	}
	return ""
}
