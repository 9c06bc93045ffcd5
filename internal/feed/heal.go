package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// owed is what a look found the relay to have published beyond the checkpoint. Some of it may be on its way.
type owed struct {
	upto    uint64    // the relay's last event; 0: nothing is owed, or something has come since
	until   int64     // where the topic ended after that was read; kafka.FirstOffset: not known
	since   time.Time // when that was known
	fetched bool      // something that was asked for after it has come, and brought nothing new
}

// due is when to wait no longer: a broker answers at once if there is something.
func (o owed) due() time.Time { return o.since.Add(owedWithin) }

const owedWithin = 4 * time.Second

// collect reads from the event store what the relay has published and Kafka does not give.
func (p *partition) collect(ctx context.Context) {
	o := p.owed
	if o.upto == 0 {
		return
	}
	switch {
	case p.seen() >= o.upto:
		p.owed.upto = 0
		return
	case p.failed, o.fetched, p.offset >= o.until:
	case time.Now().Before(o.due()):
		return
	default:
		p.gen.fetcher.doubt(p.id, o.since)
	}
	p.owed.upto = 0
	p.settle(ctx)
	p.log.Info("behind the relay and nothing comes: reading the event store", "after", p.at, "upto", o.upto)
	p.heal(ctx, o.upto)
}

// heal applies what the event store has of the partition up to and with the event at upto.
func (p *partition) heal(ctx context.Context, upto uint64) {
	p.feed.metrics.heals.Inc()
	defer p.set(healing, nil)
	for try := 0; p.at < upto && ctx.Err() == nil; try++ {
		from := p.at
		if p.clear < upto {
			from = max(from, p.clear)
		}
		before := p.at
		err := p.feed.cfg.Scan.Read(ctx, p.id, from, upto, func(events []es.Record, release func()) bool {
			ok := p.apply(ctx, events, release)
			if ok {
				p.feed.metrics.healed.Add(float64(len(events)))
			}
			return ok
		})
		if p.at > before {
			try = 0
		}
		if p.at < upto && ctx.Err() == nil && !errors.Is(err, ErrLeft) {
			if err == nil {
				err = errors.New("the event store does not have it")
			}
			p.set(healing, fmt.Errorf("read the event store from %d up to event %d: %w", p.at, upto, err))
			p.clear = 0
			_ = soon.Wait(ctx, try+1)
		}
	}
}
