package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says what is placed where, and how fast. API and Plan are needed.
type Config struct {
	API  string // base URL
	Plan Plan
	// Rate is how many orders become due a second; default 20.
	Rate float64
	// Patience is how long after the last order was due all must have ended; default 2 min.
	Patience time.Duration
	// Shared says that others trade in the same goods meanwhile: the shelves are then not compared.
	Shared bool
	// Progress is called with how it goes, five times a second; it must not wait.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	Elapsed   time.Duration
	Of        int
	Due       int // that were to be placed by now
	Placed    int // answered
	Ended     int
	Confirmed int
	Rejected  int
	Retries   int64
}

const (
	usualRate     = 20
	usualPatience = 2 * time.Minute
	preparing     = 16 // requests at once
)

// Run prepares the goods, places the orders and waits for their ends. Its error says that it could not; what went wrong with
// single orders is in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Rate <= 0 {
		cfg.Rate = usualRate
	}
	if cfg.Patience <= 0 {
		cfg.Patience = usualPatience
	}
	r := &run{cfg: cfg, client: newClient(cfg.API), fates: make([]fate, len(cfg.Plan.Orders)), shelves: map[string]*shelf{}}
	defer r.client.close()
	began := time.Now()
	if err := r.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare the goods: %w", err)
	}
	r.prepared = time.Since(began)
	stop := r.watch(ctx)
	err := r.place(ctx)
	stop()
	if err != nil {
		return nil, err
	}
	return r.report(ctx)
}

// run is one run under way.
type run struct {
	cfg      Config
	client   *client
	prepared time.Duration
	shelves  map[string]*shelf // by SKU
	added    atomic.Int64      // products
	resumed  atomic.Bool       // some of it had been done before, under the same name

	began                       time.Time
	took                        time.Duration // until the last end
	placed, confirmed, rejected atomic.Int64
	ended                       atomic.Int64
	fates                       []fate // by order
}

// fate is what became of an order.
type fate struct {
	posted   time.Duration // from when it was due to the answer of its POST
	took     time.Duration // from when it was due until its end was known
	etag     string        // of the POST's answer
	position uint64
	order    shown
	err      error
}

// shown is an order as the API shows it.
type shown struct {
	ID, Number, Status, Position string
	Goods, Total                 int64
	Shipping                     int64
	Payment                      struct {
		Status                         string
		Authorised, Captured, Refunded int64
	}
	Rejection *struct {
		Code  string
		Lines []struct {
			SKU                  string
			Requested, Available int64
		}
	}
}

func (s shown) ended() bool {
	return s.Status == "confirmed" || s.Status == "rejected" || s.Status == "cancelled" || s.Status == "closed"
}

// level is a SKU's stock as the API shows it.
type level struct {
	OnHand    int64 `json:"on_hand"`
	Reserved  int64 `json:"reserved"`
	Available int64 `json:"available"`
}

type shelf struct {
	article Article
	start   level // with the receipt, before the first order
}

// prepare adds missing products and receives the goods.
func (r *run) prepare(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(preparing)
	for _, a := range r.cfg.Plan.Articles {
		s := &shelf{article: a}
		r.shelves[a.SKU] = s
		g.Go(func() error { return r.stock(ctx, s) })
	}
	return g.Wait()
}

func (r *run) stock(ctx context.Context, s *shelf) error {
	a, sku := s.article, url.PathEscape(s.article.SKU)
	var position uint64
	switch _, err := r.client.insist(ctx, http.MethodGet, "/v1/products/"+sku, nil); {
	case is(err, http.StatusNotFound):
		body := fmt.Appendf(nil, `{"sku":%s,"name":%s,"prices":{%q:%d}}`, quoted(a.SKU), quoted(a.Name), currency, a.Price)
		added, err := r.client.insist(ctx, http.MethodPost, "/v1/products", body, "Idempotency-Key", r.key("product", a.SKU))
		if err != nil && !is(err, http.StatusConflict) { // somebody else may just have added it
			return err
		}
		if err == nil {
			r.added.Add(1)
			position = added.position()
		}
	case err != nil:
		return err
	}
	if a.Supply > 0 {
		body := fmt.Appendf(nil, `{"id":%q,"quantity":%d}`, "demo-"+r.cfg.Plan.Run, a.Supply)
		received, err := r.client.insist(ctx, http.MethodPost, "/v1/stock/"+sku+"/receipts", body, "Idempotency-Key", r.key("receipt", a.SKU))
		if err != nil {
			return err
		}
		position = received.position()
	}
	var err error
	s.start, err = r.level(ctx, a.SKU, position)
	return err
}

// level reads a SKU's stock no older than a position. What was never received has none.
func (r *run) level(ctx context.Context, sku string, position uint64) (l level, err error) {
	a, err := r.client.insist(ctx, http.MethodGet, "/v1/stock/"+url.PathEscape(sku)+"?min_position="+strconv.FormatUint(position, 10), nil)
	if is(err, http.StatusNotFound) {
		return l, nil
	}
	if err == nil {
		err = a.into(&l)
	}
	return l, err
}

func (r *run) key(what, of string) string { return "demo-" + r.cfg.Plan.Run + "-" + what + "-" + of }

func is(err error, status int) bool {
	refused, ok := errors.AsType[*refusedError](err)
	return ok && refused.status == status
}

// place sends each order when it is due and returns when all have ended or the patience has.
func (r *run) place(ctx context.Context) error {
	r.began = time.Now()
	last := r.due(len(r.cfg.Plan.Orders) - 1)
	within, cancel := context.WithDeadline(ctx, last.Add(r.cfg.Patience))
	defer cancel()
	var all sync.WaitGroup
	due := time.NewTimer(0)
	defer due.Stop()
	for i := range r.cfg.Plan.Orders {
		due.Reset(time.Until(r.due(i)))
		select {
		case <-due.C:
		case <-ctx.Done():
			all.Wait()
			return ctx.Err()
		}
		all.Go(func() { r.fates[i] = r.one(within, i) })
	}
	all.Wait()
	for i := range r.fates {
		r.took = max(r.took, r.due(i).Sub(r.began)+r.fates[i].took)
	}
	return ctx.Err()
}

func (r *run) due(i int) time.Time {
	return r.began.Add(time.Duration(float64(i) / r.cfg.Rate * float64(time.Second)))
}

// one places an order and asks for its end: the same command under the same key, which waits and changes nothing.
func (r *run) one(ctx context.Context, i int) (f fate) {
	o, due := r.cfg.Plan.Orders[i], r.due(i)
	body, err := o.body()
	if err != nil {
		return fate{err: err}
	}
	a, err := r.client.insist(ctx, http.MethodPost, "/v1/orders", body, "Idempotency-Key", o.ID)
	if err != nil {
		return fate{err: err}
	}
	f.posted, f.etag = time.Since(due), a.header.Get("ETag")
	if f.err = a.into(&f.order); f.err != nil {
		return f
	}
	if a.replayed() && r.client.retries.Load() == 0 {
		r.resumed.Store(true)
	}
	r.placed.Add(1)
	first := f.order
	for pause := time.Duration(0); !f.order.ended(); pause = min(pause+firstBackoff, lastBackoff) {
		select {
		case <-time.After(pause): // it is not over although we waited: an answer that came early is not asked for at once again
		case <-ctx.Done():
			f.err = fmt.Errorf("order %s has not ended: it is %s, its payment %s", o.ID, f.order.Status, f.order.Payment.Status)
			return f
		}
		a, err := r.client.insist(ctx, http.MethodPost, "/v1/orders", body, "Idempotency-Key", o.ID, "Prefer", "wait=30")
		if err != nil {
			f.err = fmt.Errorf("order %s has not ended: %w", o.ID, err)
			return f
		}
		var now shown
		if f.err = a.into(&now); f.err != nil {
			return f
		}
		f.order, f.position = now, a.position()
		if !a.replayed() || now.ID != first.ID || now.Number != first.Number || now.Total != first.Total {
			f.err = fmt.Errorf("I7: order %s was answered as number %s of %d, and again as %s of %d", o.ID, first.Number, first.Total, now.Number, now.Total)
			return f
		}
	}
	f.took = time.Since(due)
	r.ended.Add(1)
	switch f.order.Status {
	case "confirmed":
		r.confirmed.Add(1)
	case "rejected":
		r.rejected.Add(1)
	}
	return f
}

// watch tells Progress how it goes until stopped, and once more then.
func (r *run) watch(ctx context.Context) (stop func()) {
	if r.cfg.Progress == nil {
		return func() {}
	}
	began, n := time.Now(), len(r.cfg.Plan.Orders)
	tell := func() {
		p := Progress{
			Elapsed: time.Since(began), Of: n, Placed: int(r.placed.Load()), Ended: int(r.ended.Load()),
			Confirmed: int(r.confirmed.Load()), Rejected: int(r.rejected.Load()), Retries: r.client.retries.Load(),
		}
		p.Due = min(n, 1+int(p.Elapsed.Seconds()*r.cfg.Rate))
		r.cfg.Progress(p)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				tell()
				return
			case <-tick.C:
				tell()
			}
		}
	}()
	return func() { cancel(); <-done }
}
