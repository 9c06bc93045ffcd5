package kafkaread

import (
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/internal/kafkaread/kafkareadtest"
)

// at gives a batch the offset that a broker would.
func at(offset uint64, batch []byte) []byte {
	b := slices.Clone(batch)
	binary.BigEndian.PutUint64(b, offset)
	return b
}

func good(value string) []byte {
	return kafkareadtest.Batch(0, 1, kafkareadtest.Record(0, "k", value, 1, kafkareadtest.Header{Key: "a", Value: "b"}))
}

// A batch that does not add up is passed over whole, what is before and after it is read, and nothing is allocated beyond what there is.
func TestBrokenBatchesArePassedOver(t *testing.T) { //nolint:paralleltest // it looks at what is allocated
	broken := kafkareadtest.Broken(t)
	broken["another checksum"] = good("v")
	broken["another checksum"][20] ^= 1
	broken["an older format"] = good("v")
	broken["an older format"][16] = 1
	for name, b := range broken {
		offsets := int64(int32(binary.BigEndian.Uint32(b[23:]))) + 1
		if name == "an older format" {
			offsets = 1
		}
		p := Page{High: 1000 + 2 + offsets}
		batches := slices.Concat(at(1000, good("before")), at(1001, b), at(uint64(1001+offsets), good("after")))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p.read("topic", 3, 1000, batches)
		runtime.ReadMemStats(&after)
		if n, most := after.TotalAlloc-before.TotalAlloc, uint64(64*len(batches)+64<<10); n > most {
			t.Errorf("%s: %d bytes were allocated for %d", name, n, len(batches))
		}
		if len(p.Unreadable) != 1 || p.Unreadable[0].Offset != 1001 || p.Unreadable[0].Err == nil {
			t.Errorf("%s: unreadable: %v", name, p.Unreadable)
		}
		if len(p.Messages) != 2 || string(p.Messages[0].Value) != "before" || string(p.Messages[1].Value) != "after" ||
			p.Messages[1].Offset != 1001+offsets || p.Messages[1].Partition != 3 || p.Next != p.High {
			t.Errorf("%s: %v, next %d of %d", name, p.Messages, p.Next, p.High)
		}
	}
}

// What a broker adds itself, and what was read before, is no message and nothing unreadable.
func TestWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	two := kafkareadtest.Batch(0, 2, slices.Concat(kafkareadtest.Record(0, "k", "first", 0), kafkareadtest.Record(1, "k", "second", 0)))
	marker := kafkareadtest.Batch(control, 1, []byte("whatever a broker writes"))
	p := Page{High: 13}
	p.read("topic", 0, 11, slices.Concat(at(10, two), at(12, marker), good("cut off")[:40]))
	if len(p.Messages) != 1 || string(p.Messages[0].Value) != "second" || p.Messages[0].Offset != 11 || len(p.Unreadable) > 0 || p.Next != 13 {
		t.Errorf("%+v", p)
	}
}

// Whatever the bytes, a page goes on, stays within the partition, and gives messages in order.
func TestAnyBytesAreRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "from batches") {
			b = slices.Concat(at(5, good("one")), at(6, good("two")), at(7, good("three")))
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
			if rapid.Bool().Draw(t, "summed") {
				kafkareadtest.Sum(b[:len(good("one"))])
			}
		}
		from := rapid.Int64Range(0, 7).Draw(t, "from")
		p := Page{High: 8}
		p.read("topic", 0, from, b)
		if p.Next <= from || p.Next > p.High {
			t.Fatalf("next is %d, from %d up to %d", p.Next, from, p.High)
		}
		before := from - 1
		for _, m := range p.Messages {
			if m.Offset <= before || m.Offset >= p.Next {
				t.Fatalf("offset %d comes after %d, next is %d", m.Offset, before, p.Next)
			}
			before = m.Offset
		}
	})
}
