// Package runtime runs a domain: it starts the embedded servers that have no address elsewhere, connects to all servers by their own
// protocols, and does the roles of a process until one of them fails or the process is asked to stop.
//
//	Config ─▶ secrets ─▶ embedded servers ─▶ clients, migrations ─▶ deployments ─▶ roles ─▶ ready ─▶ stop in reverse
//
// A team writes a Domain: its events, read models, sagas, reactors, and the routes of its API. Everything else is here: relay, feeds,
// engines, health, metrics, run.json, recovery. No role knows whether a server is embedded: it gets an address.
//
//	func main() { runtime.Main("hotel", hotel.Domain()) }
//
// examples/hotel is a whole one. The program daybook is another, and goes in by the same door (internal/app). A program with commands or
// settings of its own uses Run, Load and Examine in place of Main.
//
// # Examining and recovering
//
// Examine holds the servers of a system to each other: the log to the topic, the read models, the sagas, the reactors and the keys. What only
// the domain knows is in its Checks (kit/doctor). It looks at a running system, or at what one has left behind; with Main, as `hotel doctor`.
//
// Recover makes servers belong together again after one was lost or restored. Domain.Lost is asked first, for what must not be given out a
// second time, such as numbers of orders that are lost.
//
// # Several domains
//
// Domains of different names share an event store and a Kafka without meeting: each has a topic of its own (NAME.events), metrics of its
// own (NAME_…), and environment variables of its own (NAME_LISTEN). Each has a database of its own in Postgres, so the channels of NOTIFY
// are apart as well.
package runtime
