// Package wire encodes and decodes by hand the messages of EventStoreDB's protocol that every append and every event read
// needs: the generated code spends most of a small append's time on them. Encoded and decoded forms are those of the
// generated code (streams.proto, shared.proto of the client's module), which the fuzz tests hold them to; every
// other message is left to it.
package wire
