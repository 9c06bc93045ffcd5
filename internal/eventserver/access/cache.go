package access

import "sync"

// cache keeps what was looked up, in two generations: when the young one is full it becomes the old one, and what was not used
// since is forgotten.
type cache[K comparable, V any] struct {
	mu         sync.RWMutex
	limit      int
	changes    uint64
	off        bool
	young, old map[K]V
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit, young: map[K]V{}}
}

func (c *cache[K, V]) peek(key K) (V, bool) {
	c.mu.RLock()
	v, ok := c.young[key]
	c.mu.RUnlock()
	if ok {
		return v, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok = c.old[key]; ok {
		c.keep(key, v)
	}
	return v, ok
}

func (c *cache[K, V]) put(key K, v V) {
	c.mu.Lock()
	c.keep(key, v)
	c.mu.Unlock()
}

func (c *cache[K, V]) keep(key K, v V) {
	if c.off {
		return
	}
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[K]V, c.limit)
	}
	c.young[key] = v
}

// get looks a value up, and keeps it unless something was dropped meanwhile.
func (c *cache[K, V]) get(key K, load func() (V, error)) (V, error) {
	if v, ok := c.peek(key); ok {
		return v, nil
	}
	c.mu.RLock()
	before := c.changes
	c.mu.RUnlock()
	v, err := load()
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == before {
		c.keep(key, v)
	}
	return v, nil
}

func (c *cache[K, V]) drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	delete(c.young, key)
	delete(c.old, key)
}

func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	clear(c.young)
	clear(c.old)
}

// stop forgets everything, for good.
func (c *cache[K, V]) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off, c.young, c.old = true, nil, nil
}
