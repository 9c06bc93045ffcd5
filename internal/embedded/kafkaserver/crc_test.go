package kafkaserver_test

import (
	"encoding/binary"
	"hash/crc32"
)

// withCRC puts the checksum into an encoded record batch (bytes 17 to 20, over all that follows).
func withCRC(batch []byte) []byte {
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
	return batch
}
