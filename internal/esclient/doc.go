// Package esclient is the es.Store and es.Log of a server that speaks EventStoreDB's protocol: the embedded one, or a cluster.
//
// Streams are read through the official client. It can hang without honouring a context, and its connection's state machine can end
// for good, so each of its calls runs in a goroutine of its own, and a client that failed is replaced (sessions.go). The log is read
// and followed beside it, on a connection of the same session: the protocol can filter that reading and the official client cannot
// (filtered.go), its decoding takes five times as long, and it goes over a network even to a server in the same process. That
// connection honours contexts, so the log is read in its reader's goroutine (straight.go); records come as they are stored, metadata
// undecoded. Reading resumes by itself after the last event seen, as long as its context lives. Follow does not: it ends with the
// error, so that its reader knows that it is not caught up.
//
// Appends go over two long-lived BatchAppend streams of one connection of our own, the second for appends over 64 KiB
// (the official client opens an HTTP/2 stream per append, which costs more than the append itself):
//
//	Append ── encode ──▶ queue ──▶ sender ──▶ server
//	   ▲                   ▲          │
//	   │                requeue    in flight, by (epoch, sequence)
//	   │                   │          │
//	   └──── receiver ◀────┴── lost ──┴── answered
//
// Both the appends' and the log's connection go to a server in the same process without a network in between (Config.Local), or
// through its Unix socket (Config.Socket): the same messages over shorter ways.
//
// A call is queued, in flight or answered. Any error of a stream, and a server that answers nothing for a while with
// calls in flight, end the epoch: the whole connection is replaced, with backoff and jitter, what was in flight
// is queued again before what was never sent, and goes out with the same event ids and expected revision. The server's
// idempotency makes that safe: a copy that is written is answered again, and two copies cannot both be written. Answers of an
// older epoch are dropped with its streams.
//
// What the caller gets:
//   - the server's answer, where it is one: a position, es.ErrWrongRevision, es.ErrTooLarge;
//   - es.ErrUnavailable when nothing can have been written: never sent, or every copy sent was refused;
//   - es.ErrUnknownOutcome whenever a copy may have been written: the context ended with one in flight, or a later
//     copy was refused for a reason that says nothing of an earlier one.
//
// Calls and their buffers are used again, unless a connection may still hold them: only what was sent once and has been answered
// certainly lies nowhere. The request carries the caller's deadline; the server drops what it has not begun by then. The bytes
// queued and in flight are bounded, and waiting for room honours the context.
package esclient
