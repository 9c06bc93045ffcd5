package shop

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/orderevents"
)

// Limits of event streams, and what they are if nothing is said.
type Limits struct {
	Streams   int // in all
	PerClient int // by one address
}

// DefaultLimits of event streams.
var DefaultLimits = Limits{Streams: 20_000, PerClient: 500}

// streams wakes open event streams, at the price of one query per change in a partition of theirs, however many they are. One that
// is idle costs nothing but its comments.
type streams struct {
	events    orderevents.Queries
	partition func(key string) int
	limits    Limits
	log       *slog.Logger
	kick      chan struct{}      // a partition has moved
	asking    chan struct{}      // bounds how many streams ask at once, so that others can
	shared    singleflight.Group // of those that ask for the same

	mu         sync.Mutex
	count      int
	clients    map[string]int
	partitions []map[string]map[*stream]bool // of each partition the orders, and the streams of each
	moved      map[int]bool
}

// stream is a place among them.
type stream struct {
	order, client string
	wake          chan struct{}
	from          uint64 // sent up to here; under streams.mu
}

const (
	sweepEvery = time.Second // a partition is looked at, in turn, for what no NOTIFY told of
	atOnce     = 2
	streamsOut = 5 // seconds after which there may be room again
)

func newStreams(events orderevents.Queries, partition func(string) int, limits Limits, log *slog.Logger) *streams {
	return &streams{
		events: events, partition: partition, limits: limits, log: log, kick: make(chan struct{}, 1), asking: make(chan struct{}, atOnce),
		clients: map[string]int{}, moved: map[int]bool{},
	}
}

// open gives a stream a place, if there is one.
func (s *streams) open(order, client string, from uint64) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := ""
	switch {
	case s.count >= s.limits.Streams:
		full = "this server has as many event streams open as it may"
	case s.clients[client] >= s.limits.PerClient:
		full = "this client has as many event streams open as it may"
	}
	if full != "" {
		return nil, Refuse("too_many_streams", "%s", full).after(streamsOut)
	}
	one := &stream{order: order, client: client, wake: make(chan struct{}, 1), from: from}
	s.count++
	s.clients[client]++
	p := s.partition(order)
	for len(s.partitions) <= p {
		s.partitions = append(s.partitions, map[string]map[*stream]bool{})
	}
	if s.partitions[p][order] == nil {
		s.partitions[p][order] = map[*stream]bool{}
	}
	s.partitions[p][order][one] = true
	return one, nil
}

func (s *streams) close(one *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count--
	if s.clients[one.client]--; s.clients[one.client] == 0 {
		delete(s.clients, one.client)
	}
	orders := s.partitions[s.partition(one.order)]
	if delete(orders[one.order], one); len(orders[one.order]) == 0 {
		delete(orders, one.order)
	}
}

func (s *streams) sent(one *stream, from uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.from = from
}

// concerns notes that a partition has moved, and wakes the one that looks if a stream is there. It is asked about every partition
// of a notification, as it says no to each.
func (s *streams) concerns(partition int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if partition < len(s.partitions) && len(s.partitions[partition]) > 0 {
		s.moved[partition] = true
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	return false
}

// run looks, until ctx ends, at what has moved. wake says that notifications may have been missed.
func (s *streams) run(ctx context.Context, wake <-chan struct{}) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for next := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			s.all()
		case <-s.kick:
		case <-sweep.C:
			next = s.turn(next)
		}
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("could not look for events of open streams", "error", err)
			s.all()
			select {
			case <-sweep.C:
			case <-ctx.Done():
			}
		}
	}
}

func (s *streams) all() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.partitions {
		s.moved[p] = true
	}
}

// turn marks the next partition that has streams.
func (s *streams) turn(from int) (next int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.partitions {
		if p := (from + i) % len(s.partitions); len(s.partitions[p]) > 0 {
			s.moved[p] = true
			return p + 1
		}
	}
	return 0
}

// look asks, once, about the orders of all streams in partitions that have moved, and wakes those that have events to come.
func (s *streams) look(ctx context.Context) error {
	orders, after := s.due()
	if len(orders) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	news, _, err := s.events.News(ctx, orders, after)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range news {
		for one := range s.partitions[s.partition(n.Key)][n.Key] {
			if one.from >= uint64(n.Position) { //nolint:gosec // a position
				continue
			}
			select {
			case one.wake <- struct{}{}:
			default: // it has one to take
			}
		}
	}
	return nil
}

// due is the orders of streams in partitions that have moved, each with the least that one of them has been sent.
func (s *streams) due() (orders []string, after []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range slices.Collect(maps.Keys(s.moved)) {
		delete(s.moved, p)
		for order, all := range s.partitions[p] {
			least := ^uint64(0)
			for one := range all {
				least = min(least, one.from)
			}
			orders, after = append(orders, order), append(after, least)
		}
	}
	return orders, after
}

// after is the events of an order after a position. Streams that ask for the same at the same moment share an answer.
func (s *streams) after(ctx context.Context, order string, from uint64) (items []orderevents.Item, more bool, err error) {
	type page struct {
		items []orderevents.Item
		more  bool
	}
	one := s.shared.DoChan(order+"/"+strconv.FormatUint(from, 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), QueryWithin)
		defer cancel()
		select {
		case s.asking <- struct{}{}:
			defer func() { <-s.asking }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var p page
		var err error
		p.items, p.more, _, err = s.events.After(ctx, projection.Ask{}, order, from, watchPage)
		return p, err
	})
	select {
	case got := <-one:
		p, _ := got.Val.(page)
		return p.items, p.more, got.Err
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}
