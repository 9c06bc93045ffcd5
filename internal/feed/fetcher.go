package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/kafkaread"
)

const (
	fetchWait    = 5 * time.Second       // for something to come
	fetchSoon    = 50 * time.Millisecond // while a partition is in no request
	fetchBytes   = 4 << 20               // of an answer
	answerWithin = 5 * time.Second       // beyond what the broker may wait
)

// fetcher fetches for the partitions of a generation, from each of their leaders by one request. One goroutine runs it.
type fetcher struct {
	feed    *Feed
	all     []*inbox // in the order in which they are asked for: what brought something goes to the end
	byPart  map[int]*inbox
	room    chan struct{}
	doubts  chan doubt
	landed  chan *flight
	flying  map[int][]*flight // by leader; under noLeader the look-up of leaders
	cluster string            // whose offsets are known; "" none are
	stale   bool              // what the client remembers of the cluster; at first that may be an error of before
}

// flight is a request under way.
type flight struct {
	leader  int
	inboxes []*inbox
	wait    time.Duration
	began   time.Time
	cancel  context.CancelCauseFunc

	pieces []kafkaread.Piece
	found  *layout // of a look-up
	err    error
}

// doubt is that a partition's request will be answered, if it began before.
type doubt struct {
	part   int
	before time.Time
}

var errSilent = errors.New("the broker has more, and does not answer the request for it")

func newFetcher(f *Feed, assigned []kafka.PartitionAssignment) *fetcher {
	n := len(assigned)
	x := &fetcher{
		feed: f, byPart: make(map[int]*inbox, n), room: make(chan struct{}, 1), doubts: make(chan doubt, n), landed: make(chan *flight),
		flying: map[int][]*flight{}, stale: true,
	}
	for _, a := range assigned {
		in := newInbox(a, x.room)
		x.all, x.byPart[a.ID] = append(x.all, in), in
	}
	return x
}

// run fetches until ctx ends.
func (x *fetcher) run(ctx context.Context) {
	var flights sync.WaitGroup
	defer flights.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(x.send(ctx, &flights))
		select {
		case <-ctx.Done():
			return
		case fl := <-x.landed:
			if ctx.Err() == nil {
				x.land(fl)
			}
		case d := <-x.doubts:
			if fl := x.byPart[d.part].busy; fl != nil && fl.began.Before(d.before) {
				fl.cancel(errSilent)
			}
		case <-x.room:
		case <-timer.C:
		}
	}
}

// send asks for every partition that can be asked for. It gives the time until the next one can.
//
// A partition that is in no request would have to wait for those under way. Therefore they wait for 50 ms only while there is one. If one
// comes to a leader that was asked for all others before, it is asked for beside them.
func (x *fetcher) send(ctx context.Context, flights *sync.WaitGroup) (next time.Duration) {
	now := time.Now()
	next = time.Hour
	wait := fetchWait
	ready := map[int][]*inbox{}
	for _, in := range x.all {
		place, leader, open, room := in.state()
		if !open {
			continue
		}
		backs := now.Before(in.again)
		if backs {
			next = min(next, in.again.Sub(now))
		}
		if backs || !room || !in.heard {
			wait = fetchSoon
		}
		if in.busy != nil || backs || !room {
			continue
		}
		if place.Offset == kafka.FirstOffset {
			leader = noLeader
		}
		ready[leader] = append(ready[leader], in)
	}
	for leader, inboxes := range ready {
		fl := &flight{leader: leader, inboxes: inboxes, wait: wait, began: now}
		switch under := x.flying[leader]; {
		case len(under) == 0:
		case len(under) == 1 && under[0].wait == fetchWait && leader != noLeader:
			fl.wait = fetchSoon
		default:
			continue
		}
		x.start(ctx, fl, flights)
	}
	return next
}

func (x *fetcher) start(ctx context.Context, fl *flight, flights *sync.WaitGroup) {
	x.flying[fl.leader] = append(x.flying[fl.leader], fl)
	for _, in := range fl.inboxes {
		in.busy = fl
	}
	do := x.fetch
	if fl.leader == noLeader {
		fl.wait = 0
		do = x.lookUp(x.stale)
		x.stale = false
	}
	var flying context.Context
	flying, fl.cancel = context.WithCancelCause(ctx)
	flights.Go(func() {
		defer fl.cancel(nil)
		asking, cancel := context.WithTimeout(flying, fl.wait+answerWithin)
		defer cancel()
		if do(asking, fl); fl.err != nil && flying.Err() != nil {
			fl.err = context.Cause(flying)
		}
		select {
		case x.landed <- fl:
		case <-ctx.Done():
		}
	})
}

func (x *fetcher) fetch(ctx context.Context, fl *flight) {
	places := make([]kafkaread.Place, len(fl.inboxes))
	for i, in := range fl.inboxes {
		places[i], _, _, _ = in.state()
	}
	fl.pieces, fl.err = kafkaread.FetchSeveral(ctx, x.feed.client, kafkaread.Several{
		Topic: x.feed.cfg.Topic, Leader: fl.leader, From: places, MaxBytes: fetchBytes, EachBytes: roomBytes, MaxWait: fl.wait,
	})
}

// land hands out what came.
func (x *fetcher) land(fl *flight) {
	x.flying[fl.leader] = slices.DeleteFunc(x.flying[fl.leader], func(other *flight) bool { return other == fl })
	for _, in := range fl.inboxes {
		in.busy = nil
	}
	switch {
	case fl.err != nil:
		x.stale = true // who led before, and connections that have ended
		for _, in := range fl.inboxes {
			x.failed(in, fl.err)
		}
	case fl.found != nil:
		x.located(fl)
	default:
		x.received(fl)
	}
}

func (x *fetcher) received(fl *flight) {
	brought := map[*inbox]bool{}
	for _, p := range fl.pieces {
		in := x.byPart[p.Partition]
		switch {
		case errors.Is(p.Err, kafka.OffsetOutOfRange): // the next fetch is of what there is
			in.begin()
			x.health(in, nil)
			in.putOff()
		case p.Err != nil:
			x.stale = true
			x.failed(in, p.Err)
		default:
			brought[in] = in.put(p, fl.began)
			x.health(in, nil)
			in.tries, in.heard = 0, true
		}
		hint(in.came)
	}
	order := make([]*inbox, 0, len(x.all))
	for _, served := range []bool{false, true} {
		for _, in := range x.all {
			if brought[in] == served {
				order = append(order, in)
			}
		}
	}
	x.all = order
}

// failed puts a partition off.
func (x *fetcher) failed(in *inbox, err error) {
	err = fmt.Errorf("fetching %s/%d: %w", x.feed.cfg.Topic, in.part, err)
	in.fail(err)
	x.health(in, err)
	in.putOff()
	hint(in.came)
}

func (x *fetcher) health(in *inbox, err error) {
	if err != nil || in.tries > 0 {
		x.feed.health.Set(part(in.part, fetching), err)
	}
}

// doubt gives a request up that began before and has had no answer, although there is one.
func (x *fetcher) doubt(part int, before time.Time) {
	select {
	case x.doubts <- doubt{part, before}:
	default: // as many as there are partitions wait already
	}
}
