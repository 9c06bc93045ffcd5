// Package shop has the shop's use cases, apart from how they are asked for.
//
// Commands fill in what a caller leaves to the shop (prices, numbers, ids), seal what is personal, and show what they came to: the same
// for a repeat as for the first. Queries wait for a position or an outcome as long as they are asked to, open what is sealed, and say how
// far their answer reaches. What goes in and out are plain structs, and what is refused is a Refusal. Transports map to them.
package shop

import "time"

// What a use case may take before it is answered that it could not be carried out, besides what it is asked to wait for.
const (
	// CommandWithin bounds a command: beyond it the outcome is unknown to the caller, who may repeat it.
	CommandWithin = 15 * time.Second
	// QueryWithin bounds a query, and a stream until it begins.
	QueryWithin = 10 * time.Second
)
