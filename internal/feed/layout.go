package feed

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/kafkaread"
)

// layout is what a look-up finds of some partitions.
type layout struct {
	cluster string
	leaders map[int]int
	firsts  map[int]kafkaread.Offset // of those that are read from their first message
}

// lookUp asks who leads partitions, and where those begin of which no offset is known. Afresh, it does not believe what the client remembers.
func (x *fetcher) lookUp(afresh bool) func(context.Context, *flight) {
	return func(ctx context.Context, fl *flight) {
		if afresh {
			x.feed.transport.CloseIdleConnections() // requests under way keep theirs
		}
		fl.found, fl.err = x.layout(ctx, fl.inboxes)
	}
}

func (x *fetcher) layout(ctx context.Context, inboxes []*inbox) (*layout, error) {
	name := x.feed.cfg.Topic
	meta, err := x.feed.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{name}})
	if err != nil {
		return nil, err
	}
	l := &layout{cluster: meta.ClusterID, leaders: map[int]int{}, firsts: map[int]kafkaread.Offset{}}
	for _, t := range meta.Topics {
		if t.Error != nil {
			return nil, t.Error
		}
		for _, p := range t.Partitions {
			if p.Leader.Host != "" {
				l.leaders[p.ID] = p.Leader.ID
			}
		}
	}
	begin := map[int][]int{}
	for _, in := range inboxes {
		if place, _, _, _ := in.state(); place.Offset == kafka.FirstOffset {
			if leader, ok := l.leaders[in.part]; ok {
				begin[leader] = append(begin[leader], in.part)
			}
		}
	}
	l.firsts = x.offsets(ctx, kafka.FirstOffset, begin)
	return l, nil
}

// offsets asks all leaders at once.
func (x *fetcher) offsets(ctx context.Context, which int64, byLeader map[int][]int) map[int]kafkaread.Offset {
	var (
		mu     sync.Mutex
		asking sync.WaitGroup
	)
	all := map[int]kafkaread.Offset{}
	for leader, parts := range byLeader {
		asking.Go(func() {
			offsets, err := kafkaread.Offsets(ctx, x.feed.client, x.feed.cfg.Topic, leader, which, parts)
			mu.Lock()
			defer mu.Unlock()
			for _, p := range parts {
				if all[p] = offsets[p]; err != nil {
					all[p] = kafkaread.Offset{Err: err}
				}
			}
		})
	}
	asking.Wait()
	return all
}

// located takes over what a look-up found.
func (x *fetcher) located(fl *flight) {
	l := fl.found
	if x.cluster != "" && x.cluster != l.cluster {
		x.feed.log.Warn("another Kafka cluster answers: starting at its first messages")
		for _, in := range x.all {
			in.begin()
			in.heard = false
		}
	}
	x.cluster = l.cluster
	for _, in := range fl.inboxes {
		leader, led := l.leaders[in.part]
		first, asked := l.firsts[in.part]
		switch place, _, _, _ := in.state(); {
		case !led:
			x.stale = true
			x.failed(in, kafka.LeaderNotAvailable)
		case asked && first.Err != nil:
			x.stale = true
			x.failed(in, fmt.Errorf("asking for the first offset: %w", first.Err))
		case asked:
			in.locate(leader, first.At)
		case place.Offset != kafka.FirstOffset:
			in.locate(leader, place.Offset)
		} // else it is looked up again
	}
}

// endsWithin bounds how long a look waits for brokers.
const endsWithin = 3 * time.Second

// ends asks where partitions end. Those of which that is not known are left out.
func (x *fetcher) ends(ctx context.Context, partitions []int) map[int]int64 {
	ctx, cancel := context.WithTimeout(ctx, endsWithin)
	defer cancel()
	byLeader := map[int][]int{}
	for _, p := range partitions {
		if _, leader, _, _ := x.byPart[p].state(); leader != noLeader {
			byLeader[leader] = append(byLeader[leader], p)
		}
	}
	ends := map[int]int64{}
	for p, o := range x.offsets(ctx, kafka.LastOffset, byLeader) {
		if o.Err == nil {
			ends[p] = o.At
		}
	}
	return ends
}
