package persistent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/daybook-dev/daybook/internal/eventserver/filter"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

const (
	configStream = "$persistentSubscriptionConfig"
	configType   = "$PersistentConfig"
)

// Manager keeps the groups of one store.
type Manager struct {
	st      *store.Store
	log     *slog.Logger
	resolve func(context.Context, *store.Record) (*store.Record, error)
	ctx     context.Context
	cancel  context.CancelFunc

	change sync.Mutex // one change of the set of groups at a time
	mu     sync.Mutex
	groups map[string]*runner
}

// NewManager starts the groups that the store holds. resolve finds a link's target, nil if it is gone.
func NewManager(st *store.Store, log *slog.Logger, resolve func(context.Context, *store.Record) (*store.Record, error)) (*Manager, error) {
	m := &Manager{st: st, log: log, resolve: resolve, groups: map[string]*runner{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if err := m.restart(); err != nil {
		m.cancel()
		return nil, fmt.Errorf("start persistent subscriptions: %w", err)
	}
	return m, nil
}

func (m *Manager) restart() error {
	v, err := m.st.View(m.ctx, configStream)
	if err != nil || !v.Exists {
		return err
	}
	var configs []Config
	var bad error
	err = m.st.ReadStreamBackwards(v, v.Last, func(r *store.Record) bool {
		bad = json.Unmarshal(r.Data, &configs)
		return false
	})
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read the groups' configuration: %w", err)
	}
	for _, c := range configs {
		r, err := m.start(c)
		if err != nil {
			return err
		}
		m.groups[c.key()] = r
	}
	return nil
}

func (m *Manager) start(cfg Config) (*runner, error) {
	r := &runner{st: m.st, log: m.log, resolve: m.resolve,
		Group: &Group{s: newState(cfg), wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}), saved: time.Now()}}
	if f := cfg.Filter; f != nil {
		var err error
		if r.filter, err = filter.New(f.ByType, f.Regex, f.Prefixes); err != nil {
			return nil, err
		}
	}
	if err := r.load(m.ctx); err != nil {
		return nil, err
	}
	go r.run(m.ctx)
	return r, nil
}

// Create makes a group.
func (m *Manager) Create(ctx context.Context, cfg Config) error {
	m.change.Lock()
	defer m.change.Unlock()
	if r := m.keyed(cfg.key()); r != nil {
		if r.is(cfg.Stream, cfg.Group) {
			return ErrExists
		}
		return refused("The name %s means group %s on stream %s already.", cfg.key(), r.s.cfg.Group, r.s.cfg.Stream)
	}
	if err := m.begin(ctx, &cfg); err != nil {
		return err
	}
	return m.put(ctx, cfg, nil)
}

// Update changes a group's settings and, unless keepStart, its start, and drops its consumers. A checkpoint that is stored counts more
// than a start.
func (m *Manager) Update(ctx context.Context, cfg Config, keepStart bool) error {
	m.change.Lock()
	defer m.change.Unlock()
	old := m.get(cfg.Stream, cfg.Group)
	if old == nil {
		return ErrNotFound
	}
	cfg.Filter = old.s.cfg.Filter
	if keepStart {
		cfg.From, cfg.StartEnd = old.s.cfg.From, old.s.cfg.StartEnd
		return m.put(ctx, cfg, old)
	}
	if err := m.begin(ctx, &cfg); err != nil {
		return err
	}
	return m.put(ctx, cfg, old)
}

// begin finds where a group begins: the end is the end as it is now.
func (m *Manager) begin(ctx context.Context, cfg *Config) error {
	switch {
	case cfg.StartEnd && cfg.Stream == All:
		cfg.From = m.st.Visible() + 1
	case cfg.StartEnd:
		v, err := m.st.View(ctx, cfg.Stream)
		if err != nil {
			return err
		}
		cfg.From = uint64(v.Last + 1) //nolint:gosec // at least 0
	case cfg.Stream == All && cfg.From > m.st.Visible():
		return refused("Invalid Start From position: commit position must be less than or equal to the last commit position in the transaction file.")
	}
	return nil
}

// put stores a group and then starts it, in place of its old self.
func (m *Manager) put(ctx context.Context, cfg Config, old *runner) error {
	if err := m.store(ctx, cfg.key(), &cfg); err != nil {
		return err
	}
	if old != nil {
		old.mu.Lock()
		old.forget = old.last == "" && (old.s.cfg.From != cfg.From || old.s.cfg.StartEnd != cfg.StartEnd)
		old.mu.Unlock()
		old.close()
	}
	r, err := m.start(cfg)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.groups[cfg.key()] = r
	m.mu.Unlock()
	return nil
}

// Delete ends a group and forgets its checkpoint and its parked messages.
func (m *Manager) Delete(ctx context.Context, stream, group string) error {
	m.change.Lock()
	defer m.change.Unlock()
	r := m.get(stream, group)
	if r == nil {
		return ErrNotFound
	}
	cfg := r.s.cfg
	if err := m.store(ctx, cfg.key(), nil); err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.groups, cfg.key())
	m.mu.Unlock()
	r.close()
	for _, own := range []string{cfg.checkpointStream(), cfg.parkedStream()} {
		if v, err := m.st.View(ctx, own); err != nil || !v.Exists {
			continue
		}
		if res := m.st.Do(store.Request{Kind: store.SoftDelete, Stream: own, Expected: store.ExpectAny}); res.Err != nil {
			return res.Err
		}
	}
	return nil
}

// store writes all groups' configurations, with one of them changed or, if nil, taken out.
func (m *Manager) store(ctx context.Context, key string, changed *Config) error {
	m.mu.Lock()
	all := []Config{}
	for k, r := range m.groups {
		if k != key {
			all = append(all, r.s.cfg)
		}
	}
	m.mu.Unlock()
	if changed != nil {
		all = append(all, *changed)
	}
	slices.SortFunc(all, func(a, b Config) int {
		if a.key() < b.key() {
			return -1
		}
		return 1
	})
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = write(ctx, m.st, configStream, store.Event{Type: configType, JSON: true, Data: data})
	return err
}

// Has tells whether a group is there.
func (m *Manager) Has(stream, group string) bool { return m.get(stream, group) != nil }

func (m *Manager) get(stream, group string) *runner {
	c := Config{Stream: stream, Group: group}
	if r := m.keyed(c.key()); r != nil && r.is(stream, group) {
		return r
	}
	return nil
}

func (m *Manager) keyed(key string) *runner {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.groups[key]
}

// is tells the group from another one whose key is the same: names may hold "::".
func (r *runner) is(stream, group string) bool {
	return r.s.cfg.Stream == stream && r.s.cfg.Group == group
}

// Get finds a group.
func (m *Manager) Get(stream, group string) (*Group, error) {
	if r := m.get(stream, group); r != nil {
		return r.Group, nil
	}
	return nil, ErrNotFound
}

// Replay sends a group's parked messages again: those whose number in the parked stream is below stopAt, or all.
func (m *Manager) Replay(ctx context.Context, stream, group string, stopAt *int64) error {
	r := m.get(stream, group)
	if r == nil {
		return ErrNotFound
	}
	return r.replay(ctx, stopAt)
}

// Restart stops all groups, dropping their consumers, and starts them from their checkpoints.
func (m *Manager) Restart() error {
	m.change.Lock()
	defer m.change.Unlock()
	m.stopAll()
	return m.restart()
}

func (m *Manager) stopAll() {
	m.mu.Lock()
	groups := m.groups
	m.groups = map[string]*runner{}
	m.mu.Unlock()
	for _, r := range groups {
		r.close()
	}
}

// Close drops all consumers and saves the checkpoints.
func (m *Manager) Close() {
	m.change.Lock()
	defer m.change.Unlock()
	m.stopAll()
	m.cancel()
}

// Info describes a group.
type Info struct {
	Config

	Start       string
	Checkpoint  string // "" before the first
	Known       string
	Connections []Connection
	Waiting     int // read and not yet sent
	Retries     int
	InFlight    int
	Parked      int64
	Total       int64
}

// Connection describes a consumer.
type Connection struct {
	Client

	InFlight int
	Total    int64
}

// Info gives the groups on a stream, or all with "".
func (m *Manager) Info(ctx context.Context, stream, group string) ([]Info, error) {
	m.mu.Lock()
	var found []*runner
	for _, r := range m.groups {
		if (stream == "" || r.s.cfg.Stream == stream) && (group == "" || r.s.cfg.Group == group) {
			found = append(found, r)
		}
	}
	m.mu.Unlock()
	slices.SortFunc(found, func(a, b *runner) int {
		if a.s.cfg.key() < b.s.cfg.key() {
			return -1
		}
		return 1
	})
	infos := make([]Info, 0, len(found))
	for _, r := range found {
		i, err := r.info(ctx)
		if err != nil {
			return nil, err
		}
		infos = append(infos, i)
	}
	return infos, nil
}

func (r *runner) info(ctx context.Context) (Info, error) {
	v, err := r.st.View(ctx, r.s.cfg.parkedStream())
	if err != nil {
		return Info{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := Info{Config: r.s.cfg, Start: r.s.cfg.start(), Checkpoint: r.last, Waiting: r.s.held, Retries: r.s.retries(),
		InFlight: len(r.s.flights), Parked: r.waiting(v), Total: r.s.total}
	if r.next > r.s.cfg.From || r.last != "" {
		i.Known = r.s.cfg.place(int64(r.next) - 1) //nolint:gosec // below 1<<63
	}
	for _, c := range r.s.consumers {
		i.Connections = append(i.Connections, Connection{c.client, c.inFlight, c.total})
	}
	return i, nil
}
