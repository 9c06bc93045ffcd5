// Package app puts a process together: it is the only place that knows every part. A Config says which roles run here; a
// Node starts the embedded servers that have no address, connects to all servers by their own protocols, begins the
// deployment streams, and runs the roles until one of them fails or the process is asked to stop.
//
//	Config ─▶ secrets ─▶ embedded servers ─▶ clients, migrations ─▶ deployments ─▶ roles ─▶ ready ─▶ stop in reverse
//
// No role knows whether a server is embedded: it gets an address.
package app
