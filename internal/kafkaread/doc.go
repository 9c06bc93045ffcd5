// Package kafkaread reads what a Kafka topic holds, whatever it holds.
//
// Everybody who may write to a topic decides what the batches in it say of themselves. kafka-go makes room for the counts that it finds
// in them, inflates what is compressed without a bound, and does so in goroutines of its own, where a panic ends the process. Here the
// batches are taken from the broker's answer as bytes, and read so that nothing costs more than it is long:
//
//   - Lengths and counts are compared with the bytes that there are, before room is made for anything.
//   - Offsets of records stay within what the broker assigned to their batch, or a record could move its reader to where nothing is.
//   - Compressed batches are not read. The relay does not compress, and its topic is made uncompressed: a broker that supports it
//     inflates what others compressed.
//   - A batch that cannot be read is passed over as a whole, and reported.
//
// FetchSeveral asks one broker for several partitions. It gives each partition's part as bytes, for the partition's reader to read: what a
// hostile batch costs is paid there.
//
// What is trusted: the broker, for the frame round the batches, the offsets it assigned and the length of each batch.
package kafkaread
