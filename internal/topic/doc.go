// Package topic is what the relay and its consumers agree on: which partition an event belongs to, what a message says and how it is
// signed, how far the relay has come, and how it is announced that read models have moved on.
//
// The relay writes messages and its state; feeds, engines, the doctor and recovery read them. None of them needs the relay itself.
package topic
