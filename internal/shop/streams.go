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

	"github.com/daybook-dev/daybook/kit/projection/query"
	"github.com/daybook-dev/daybook/projections/orderevents"
)

// Limits of open event streams.
type Limits struct {
	Streams   int // in all
	PerClient int // of one address
}

// DefaultLimits apply where no limit is configured.
var DefaultLimits = Limits{Streams: 20_000, PerClient: 500}

// streams wakes open event streams. It makes one query per change in a partition that has streams, whatever their number. An idle stream
// makes none.
type streams struct {
	events    orderevents.Queries
	partition func(key string) int
	limits    Limits
	log       *slog.Logger
	kick      chan struct{}      // a partition has moved
	asking    chan struct{}      // limits how many streams read at once
	shared    singleflight.Group // merges equal reads

	mu         sync.Mutex
	count      int
	clients    map[string]int
	partitions []map[string]map[*stream]bool // by partition and order
	moved      map[int]bool
}

// stream is one open stream.
type stream struct {
	order, client string
	wake          chan struct{}
	from          uint64 // sent up to here; under streams.mu
}

const (
	sweepEvery = time.Second // the next partition is checked for changes without a NOTIFY
	atOnce     = 2
	streamsOut = 5 // seconds after which there may be room again
)

func newStreams(events orderevents.Queries, partition func(string) int, limits Limits, log *slog.Logger) *streams {
	return &streams{
		events: events, partition: partition, limits: limits, log: log, kick: make(chan struct{}, 1), asking: make(chan struct{}, atOnce),
		clients: map[string]int{}, moved: map[int]bool{},
	}
}

// open registers a stream, within the limits.
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

// concerns marks a changed partition that has streams and wakes run. It returns false, so that it is called for every partition of a
// notification.
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

// run checks the changed partitions until ctx ends. wake: notifications may have been lost.
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
			s.log.Warn("could not read new events of open streams", "error", err)
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

// look makes one query for the orders of all streams in changed partitions, and wakes the streams that have new events.
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
			default: // it has been woken
			}
		}
	}
	return nil
}

// due returns the orders of streams in changed partitions, each with the lowest position that one of its streams has sent.
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

// after reads the events of an order after a position. Equal reads at the same time share one query.
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
		p.items, p.more, _, err = s.events.After(ctx, query.Ask{}, order, from, watchPage)
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
