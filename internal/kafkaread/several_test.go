package kafkaread

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func part(high int64, batches []byte) *kmsg.FetchResponseTopicPartition {
	p := kmsg.NewFetchResponseTopicPartition()
	p.HighWatermark, p.RecordBatches = high, batches
	return &p
}

// Where a partition goes on is known before its batches are read: whatever the bytes, reading them comes to the same.
func TestAPieceKnowsWhereItGoesOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "from batches") {
			b = slices.Concat(at(5, good("one")), at(6, good("two")), at(7, good("three")))
			b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
			for range rapid.IntRange(0, min(4, len(b))).Draw(t, "changes") {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		from := rapid.Int64Range(0, 8).Draw(t, "from")
		first := rapid.Bool().Draw(t, "first of the answer")
		p := piece("topic", Place{3, from}, part(8, b), first)
		page := p.Read()
		if page.Next != p.Next {
			t.Fatalf("it goes on at %d, and was read up to %d", p.Next, page.Next)
		}
		var each Page
		for _, b := range p.Batches() {
			one := b.Read()
			each.Next = one.Next
			each.Messages, each.Unreadable = append(each.Messages, one.Messages...), append(each.Unreadable, one.Unreadable...)
		}
		if got, want := fmt.Sprint(each.Next, each.Messages, each.Unreadable), fmt.Sprint(page.Next, page.Messages, page.Unreadable); got != want {
			t.Fatalf("batch by batch it is\n%s, not\n%s", got, want)
		}
		if first && len(b) > 0 && from < 8 && p.Next == from {
			t.Fatal("it would be asked for again without end")
		}
	})
}

// A broker cuts off what does not fit, but never the first batch of an answer: a batch that is cut off is no broken one.
func TestABatchThatIsCutOffIsAskedForAgain(t *testing.T) {
	t.Parallel()
	cut := at(5, good("a batch for which there was no room"))[:70]
	p := piece("topic", Place{3, 5}, part(6, cut), false)
	if page := p.Read(); p.Next != 5 || p.Size() != 0 || len(page.Unreadable) > 0 {
		t.Errorf("it goes on at %d with %d bytes, unreadable %v", p.Next, p.Size(), page.Unreadable)
	}
	p = piece("topic", Place{3, 5}, part(6, cut), true)
	if page := p.Read(); p.Next != 6 || len(page.Unreadable) != 1 {
		t.Errorf("the first one goes on at %d, unreadable %v", p.Next, page.Unreadable)
	}
}
