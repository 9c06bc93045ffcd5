// Package runtime runs a domain: it starts the embedded servers that have no address elsewhere, connects to all servers by their own
// protocols, and does the roles of a process until one of them fails or the process is asked to stop.
//
//	Config ─▶ secrets ─▶ embedded servers ─▶ clients, migrations ─▶ deployments ─▶ roles ─▶ ready ─▶ stop in reverse
//
// A team writes a Domain: its events, read models, sagas, reactors, and the routes of its API. Everything else is here: relay, feeds,
// engines, health, metrics, run.json, recovery. No role knows whether a server is embedded: it gets an address.
//
//	func main() {
//		cfg, err := runtime.Parse("hotel", os.Args[1:])
//		if err == nil {
//			err = runtime.Run(ctx, hotel.Domain(), cfg)
//		}
//		…
//	}
//
// examples/hotel is a whole one. The program daybook is another, and goes in by the same door (internal/app).
//
// # Several domains
//
// Domains of different names share an event store and a Kafka without meeting: each has a topic of its own (NAME.events), metrics of its
// own (NAME_…), and environment variables of its own (NAME_LISTEN). Each has a database of its own in Postgres, so the channels of NOTIFY
// are apart as well.
package runtime
