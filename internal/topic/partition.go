package topic

// PartitionOf is the partition of a key among n, as Kafka's own Java client chooses it (murmur2, sign bit cleared),
// so that every other tool agrees about where a key's messages are.
func PartitionOf(key string, n int) int { return int(murmur2(key)&0x7fffffff) % n }

// murmur2 is Austin Appleby's 32-bit MurmurHash2 with the seed of org.apache.kafka.common.utils.Utils.murmur2.
func murmur2(key string) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(key)) //nolint:gosec // Java's hash takes the length as an int
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(key[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
