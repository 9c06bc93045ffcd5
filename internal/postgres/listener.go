package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/backoff"
	"github.com/daybook-dev/daybook/internal/health"
)

// Listener passes notifications on to those who wait for work, over one connection of its own.
//
// A wake-up is a hint and nothing more: it may come for no reason, several may come as one, and while the connection is
// down none comes. After every (re)connection all are woken once, because something may have been missed; a reader that
// cannot wait for that polls as well.
type Listener struct {
	url    string
	health *health.Reporter
	done   chan struct{}

	mu        sync.Mutex
	waiting   map[string]map[chan struct{}]func(payload string) bool // by channel
	interrupt context.CancelFunc                                     // ends the wait for a notification, to listen to more
}

const (
	idle   = 5 * time.Second // then the connection is tried
	answer = 5 * time.Second // from a connection that lives

	atConnection = "connection" // the part of its health
)

var betweenConnections = backoff.Policy{First: 100 * time.Millisecond, Most: time.Second}

// Listen starts a listener that ends with ctx. It does not wait for its connection. url must lead to Postgres itself:
// PgBouncer does not pass notifications on. reporter, which may be nil, has the state of the connection.
func Listen(ctx context.Context, url string, reporter *health.Reporter) *Listener {
	if reporter == nil {
		reporter = (*health.Board)(nil).Reporter("listener")
	}
	l := &Listener{url: url, health: reporter, done: make(chan struct{}), waiting: map[string]map[chan struct{}]func(string) bool{}}
	go l.run(ctx)
	return l
}

// Done is closed when the listener has ended.
func (l *Listener) Done() <-chan struct{} { return l.done }

// Subscribe wakes its caller at every NOTIFY on channel. It also does so once when that has begun, for what may have
// been missed before. Wake-ups that are not taken are merged into one. cancel may be called more than once.
func (l *Listener) Subscribe(channel string) (wake <-chan struct{}, cancel func()) {
	return l.SubscribeTo(channel, func(string) bool { return true })
}

// SubscribeTo is Subscribe for those notifications whose payload concerns the caller. concerns must not block or call the listener.
func (l *Listener) SubscribeTo(channel string, concerns func(payload string) bool) (wake <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[channel] == nil {
		l.waiting[channel] = map[chan struct{}]func(string) bool{}
		if l.interrupt != nil {
			l.interrupt()
		}
	} else {
		c <- struct{}{} // it has begun already, or all are woken when it does
	}
	l.waiting[channel][c] = concerns
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting[channel], c) // the channel stays listened to: there are few, and somebody may come back
	}
}

// wake wakes those on a channel whom the payload concerns, or all if some may have been missed.
func (l *Listener) wake(channel, payload string, missed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, concerns := range l.waiting[channel] {
		if !missed && !concerns(payload) {
			continue
		}
		select {
		case c <- struct{}{}:
		default: // it has one to take
		}
	}
}

func (l *Listener) run(ctx context.Context) {
	defer close(l.done)
	for tries := 1; ; tries++ {
		connected, err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if connected {
			tries = 1
		}
		l.health.Set(atConnection, fmt.Errorf("no connection for notifications; what waits for them polls: %w", err))
		if betweenConnections.Wait(ctx, tries) != nil {
			return
		}
	}
}

// session listens over one connection until it breaks.
func (l *Listener) session(ctx context.Context) (connected bool, err error) {
	cfg, err := pgx.ParseConfig(l.url)
	if err != nil {
		return false, err
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = answer
	}
	noticeTheDead(cfg)
	cfg.RuntimeParams["application_name"] = "daybook listener"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), answer)
		defer cancel()
		_ = conn.Close(closing)
	}()
	l.health.Set(atConnection, nil)
	heard := map[string]bool{}
	for {
		wait, missing, cancel := l.next(ctx, heard)
		err := l.step(ctx, wait, conn, missing)
		cancel()
		if err != nil {
			return true, err
		}
		if missing != "" {
			heard[missing] = true
			l.wake(missing, "", true)
		}
	}
}

// next gives a channel that is not listened to yet, or a context for waiting that ends when there is one.
func (l *Listener) next(ctx context.Context, heard map[string]bool) (wait context.Context, missing string, cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for channel := range l.waiting {
		if !heard[channel] {
			return ctx, channel, func() {}
		}
	}
	wait, stop := context.WithTimeout(ctx, idle)
	l.interrupt = stop
	return wait, "", stop
}

// step listens to the missing channel, or else waits for one notification. A wait that ends without one tries the
// connection, which may have died without a word.
func (l *Listener) step(ctx, wait context.Context, conn *pgx.Conn, missing string) error {
	if missing != "" {
		return briefly(ctx, func(ctx context.Context) error {
			_, err := conn.Exec(ctx, "listen "+pgx.Identifier{missing}.Sanitize())
			return err
		})
	}
	n, err := conn.WaitForNotification(wait)
	switch {
	case err == nil:
		l.wake(n.Channel, n.Payload, false)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case wait.Err() == nil:
		return err
	}
	return briefly(ctx, conn.Ping)
}

func briefly(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	return ask(ctx)
}
