package persistent

import (
	"container/heap"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strings"
)

// lane is a queue of messages in the order in which they are to be delivered: first what is sent again, in the order of the stream,
// then what is replayed, in the order of parking, then what is new.
type lane []*Message

// The classes of messages, in the order of delivery.
const (
	retried = iota
	replayed
	fresh
)

func before(a, b *Message) int {
	if a.class != b.class {
		return a.class - b.class
	}
	if a.at < b.at {
		return -1
	}
	return 1
}

func (l lane) Len() int           { return len(l) }
func (l lane) Less(i, j int) bool { return before(l[i], l[j]) < 0 }
func (l lane) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// Push implements heap.Interface.
func (l *lane) Push(x any) {
	if m, ok := x.(*Message); ok {
		*l = append(*l, m)
	}
}

// Pop implements heap.Interface.
func (l *lane) Pop() any {
	n := len(*l) - 1
	m := (*l)[n]
	(*l)[n] = nil
	*l = (*l)[:n]
	return m
}

// pins says which consumer has what is pinned: streams or correlations fall into buckets, and a bucket stays with its consumer as long
// as that one is there, or until a new one takes its share.
type pins map[uint32]*bucket

type bucket struct {
	number   uint32
	owner    *Consumer
	inFlight int
}

const bucketCount = 1024

// of gives a message's bucket; one that is new goes to the consumer that has the fewest.
func (p pins) of(m *Message, strategy string, consumers []*Consumer) *bucket {
	h := fnv.New32a()
	_, _ = h.Write(pin(m, strategy))
	n := h.Sum32() % bucketCount
	b := p[n]
	if b == nil {
		b = &bucket{number: n}
		p[n] = b
	}
	if b.owner == nil {
		owned := p.owned()
		b.owner = slices.MinFunc(consumers, func(x, y *Consumer) int { return len(owned[x]) - len(owned[y]) })
	}
	return b
}

func (p pins) owned() map[*Consumer][]*bucket {
	owned := map[*Consumer][]*bucket{}
	for _, b := range p {
		if b.owner != nil {
			owned[b.owner] = append(owned[b.owner], b)
		}
	}
	return owned
}

// join gives a new consumer its share of the buckets, first those with nothing in flight.
func (p pins) join(c *Consumer, consumers int) {
	owned := p.owned()
	total := 0
	for _, bs := range owned {
		total += len(bs)
	}
	share := (total + consumers - 1) / consumers
	for _, bs := range owned {
		slices.SortFunc(bs, func(x, y *bucket) int {
			if x.inFlight != y.inFlight {
				return x.inFlight - y.inFlight
			}
			return int(x.number) - int(y.number)
		})
		for _, b := range bs[:max(0, len(bs)-share)] {
			b.owner, b.inFlight = c, 0
		}
	}
}

func (p pins) leave(c *Consumer) {
	for _, b := range p {
		if b.owner == c {
			b.owner, b.inFlight = nil, 0
		}
	}
}

// pin is what keeps a message with its consumer.
func pin(m *Message, strategy string) []byte {
	e := m.Event
	if e == nil { // the link's target is gone: its name is left
		if _, stream, ok := strings.Cut(string(m.Link.Data), "@"); ok {
			return []byte(stream)
		}
		return m.Link.Stream
	}
	if strategy == PinnedByCorrelation {
		var fields map[string]json.RawMessage // it tells "$correlationId" from "$correlationid"
		var correlation string
		if json.Unmarshal(e.Meta, &fields) == nil && json.Unmarshal(fields["$correlationId"], &correlation) == nil && correlation != "" {
			return []byte(correlation)
		}
	}
	if string(e.Type) == linkType { // not resolved
		if _, stream, ok := strings.Cut(string(e.Data), "@"); ok {
			return []byte(stream)
		}
	}
	return e.Stream
}

var _ heap.Interface = (*lane)(nil)
