// Package shop contains the shop's use cases, independent of any transport.
//
// A command fills in what the caller leaves to the shop (prices, order numbers, ids), seals personal data, decides, and returns the result.
// A repeat with the same idempotency key returns the same result. A query waits for a position or an outcome as long as the caller asks,
// opens sealed data, and returns the position that its answer includes. Inputs and results are plain structs, and a refused request returns a
// Refusal. A transport (HTTP today) maps its own types to these.
package shop

import "time"

// Time limits of use cases. The time that the caller asks to wait is added.
const (
	// CommandWithin limits a command. After it the caller does not know the outcome and may repeat the command.
	CommandWithin = 15 * time.Second
	// QueryWithin limits a query, and the first read of a stream.
	QueryWithin = 10 * time.Second
)
