// Package kafkaserver is the Kafka broker that Daybook starts when no other is configured: one process, one node,
// Kafka's own protocol, for clients on this machine.
//
// It is franz-go's kfake, which was written for tests, put behind three guards:
//
//		client ──TCP──▶ listener ──▶ guarded connection ──▶ kfake ──▶ segments in Dir
//		                             reads a frame whole,
//		                             checks it, lets it pass
//
//	  - Frames. kfake ends the process when it meets a request it does not know, and makes room for whatever length a frame
//	    announces. Here a frame is read whole, bounded, as it arrives; only requests and versions of a short list pass, only
//	    if they parse, and only with values a broker would accept. Anything else costs its sender the connection.
//	  - Space. Retention is applied to every topic on a ticker of ours.
//	  - Memory of what was. Kafka is a transport: consumers catch up from the event store. The directory is emptied at each
//	    start and the cluster gets a new random id, so that no offset of an earlier run can be taken for one of this run.
//
// What is trusted: clients on this machine, to mean well with well-formed requests. There is no authentication; listen on
// loopback, or on a network that is yours.
//
// When it fails: an append that cannot be written is answered with an error and the relay tries again. Topics are never
// created by asking for them.
package kafkaserver
