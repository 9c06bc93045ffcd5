// Package standalone makes the event store server a program of its own: serve, and what looks after its data, on a running
// server or on the data directory of a stopped one.
//
// A Store is either. A Remote works through the server, whatever it does meanwhile; a Directory opens the files itself and is refused
// while a server has them open.
//
// # Dumps
//
// A dump has one JSON object a line (NDJSON), an event each, in the order of the log:
//
//	{"position":2,"stream":"order-1","revision":0,"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","type":"order.placed","created":17320896000000000,"json":true,"data":{"total":"12.50"},"meta":{"user":"ann"}}
//
// store.Line says what the fields are. Dumped and imported, an event is the same byte for byte: id, type, content type, data, metadata,
// revision, created; only positions are new, and the history's own name ($incarnation) is left out. created may be later than the line
// says if the importing store has newer events already: nothing in a store is older than what comes before it. That is counted.
// An import adds lines in their order up to the first that cannot be taken in. What the store has already is left as it
// is, so that an import that was broken off, by whatever, is repeated to go on.
//
// Not in a dump: where a stream goes on of which a scavenge left no event at all.
package standalone
