// Package demo places a shop's invoices as new, live orders through the HTTP API, and sees each of them to its end.
//
//	plan.go     the file's first N invoices become orders, missing products, and stock for all but 2 % of the units
//	client.go   HTTP as a careful client speaks it: the same key again until there is an answer
//	run.go      the open loop: orders go out when they are due, however the others fare
//	check.go    what must hold afterwards, by what the API says
//	report.go   counts, rates, percentiles
//
// # What is measured
//
// An order is due at a time that nothing but the rate decides. Its latencies count from then, so a server that stops
// answering is seen in every order that was due meanwhile. "Ended" is when the client has had the answer with the end: the same command
// under the same key, with Prefer: wait, is answered when the order waits for nothing any more.
//
// # What it trusts
//
// Nothing but the API. It needs no access to the servers; `daybook demo` lets the doctor look at those afterwards.
package demo
