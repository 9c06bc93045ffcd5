// Package conformance holds the cases that an EventStoreDB server must pass over the wire, ours and a real one: nothing in it
// knows whose server it talks to. It uses the official client and, where that shows too little, the protocol itself.
//
// Cases make streams of their own with names that are used once, and leave them behind; they suppose neither an empty
// server nor to be alone on it. What only a secured server has is skipped on an insecure one.
package conformance
