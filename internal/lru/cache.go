package lru

import (
	"container/list"
	"sync"
)

// overhead is what an entry takes besides its value, in bytes.
const overhead = 512

// Cache keeps values by key. All of its methods may be called at once.
type Cache[K comparable, V any] struct {
	mu     sync.Mutex
	byKey  map[K]*list.Element // of *entry[K, V]
	recent list.List           // front: last used
	weight int                 // bytes
	budget int                 // bytes
}

type entry[K comparable, V any] struct {
	key    K
	value  V
	users  int
	weight int
}

// New gives a cache of so many bytes.
func New[K comparable, V any](budget int) *Cache[K, V] {
	return &Cache[K, V]{byKey: map[K]*list.Element{}, budget: budget}
}

// Hold sets the budget, in bytes. It holds from the next Leave on.
func (c *Cache[K, V]) Hold(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget = bytes
}

// Take gives the value of a key, to be left again. One that is not kept is made afresh.
func (c *Cache[K, V]) Take(key K, fresh func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.byKey[key]
	if !ok {
		at = c.recent.PushFront(&entry[K, V]{key: key, value: fresh(), weight: overhead})
		c.byKey[key] = at
		c.weight += overhead
	}
	return c.use(at)
}

// Get is Take for a value that is kept. One that is not, ok false, is not left either.
func (c *Cache[K, V]) Get(key K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.byKey[key]
	if !ok {
		return v, false
	}
	return c.use(at), true
}

func (c *Cache[K, V]) use(at *list.Element) V {
	e := of[K, V](at)
	e.users++
	c.recent.MoveToFront(at)
	return e.value
}

// Weigh says what the value of a key in use takes now, in bytes.
func (c *Cache[K, V]) Weigh(key K, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := of[K, V](c.byKey[key])
	bytes += overhead
	c.weight += bytes - e.weight
	e.weight = bytes
}

// Leave ends one use of a key's value.
func (c *Cache[K, V]) Leave(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of[K, V](c.byKey[key]).users--
	for at := c.recent.Back(); at != nil && c.weight > c.budget; {
		before := at.Prev()
		if e := of[K, V](at); e.users == 0 {
			c.recent.Remove(at)
			delete(c.byKey, e.key)
			c.weight -= e.weight
		}
		at = before
	}
}

// Kept says how many values are kept, how many of them are in use, and what all of them weigh, in bytes.
func (c *Cache[K, V]) Kept() (values, inUse, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.byKey {
		if of[K, V](at).users > 0 {
			inUse++
		}
	}
	return len(c.byKey), inUse, c.weight
}

func of[K comparable, V any](at *list.Element) *entry[K, V] {
	return at.Value.(*entry[K, V]) //nolint:forcetypeassert // nothing else is put there
}
